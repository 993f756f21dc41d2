"""A stand-in for surgepy that writes down what it is told, and plays a constant while a key is down."""

import numpy as np

BLOCK = 32
LOG = []


class Synth:
    def __init__(self, rate):
        LOG.append(("create", rate))
        self.down = False

    def getBlockSize(self):
        return BLOCK

    def createMultiBlock(self, blocks):
        return np.zeros((2, blocks * BLOCK), np.float32)

    def loadPatch(self, path):
        with open(path, "rb") as file:
            LOG.append(("load", file.read()))

    def playNote(self, channel, note, velocity, detune):
        LOG.append(("play", channel, note, velocity))
        self.down = True

    def releaseNote(self, channel, note, velocity):
        LOG.append(("release", channel, note))
        self.down = False

    def processMultiBlock(self, sound, first=0, count=-1):
        last = first + count if count > 0 else sound.shape[1] // BLOCK
        assert last * BLOCK <= sound.shape[1]
        sound[:, first * BLOCK : last * BLOCK] = [[0.25 * self.down], [0.75 * self.down]]


createSurge = Synth
