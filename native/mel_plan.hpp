// Tables of a log-mel spectrogram: factors, twiddles, window and sparse filters, computed in double.
#pragma once

#include <cmath>
#include <deque>
#include <stdexcept>
#include <vector>

#include "mel_types.hpp"

namespace unsynth {

class MelPlan {
    std::deque<std::vector<float>> tables;  // stay where they are while more are added
    std::vector<Pass> passes;
    std::vector<Band> band;
    Mel view{};

    // Primes and fours, smallest first: the large ones join single points, which need no twiddles.
    static std::vector<int> factors(int n) {
        std::vector<int> found;
        for (int p : {4, 2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31})
            for (; n % p == 0; n /= p) found.push_back(p);
        if (n != 1) found.clear();  // a larger prime is left
        return found;
    }

    const float* cos_sin(int rows, int columns, int first, int size) {
        std::vector<float>& table = tables.emplace_back();
        for (int64_t row = first; row < rows + first; ++row)
            for (int64_t column = 1; column <= columns; ++column) {
                const double angle = 2 * std::acos(-1.0) * (double)(row * column % size) / size;
                table.push_back((float)std::cos(angle));
                table.push_back((float)std::sin(angle));
            }
        return table.data();
    }

    const float* hann() {  // periodic
        std::vector<float>& window = tables.emplace_back(view.padded());
        for (int i = 0; i < view.n_fft; ++i)
            window[i] = (float)(0.5 - 0.5 * std::cos(2 * std::acos(-1.0) * i / view.n_fft));
        return window.data();
    }

    Band sparse(const float* row, int bins) {
        int first = 0, end = bins;
        while (first < end && row[first] == 0) ++first;
        while (first < end && row[end - 1] == 0) --end;
        std::vector<float>& weights = tables.emplace_back(row + first, row + end);
        for (float& w : weights) w *= 0.25f;  // two packed frames separate into twice their spectra
        return {first, end - first, weights.data()};
    }

public:
    MelPlan(int n_fft, int hop, const float* filters, int bands, float floor) {
        if (!supports(n_fft) || hop < 1 || bands < 1 || !(floor > 0)) throw std::invalid_argument("size");
        view.n_fft = n_fft, view.hop = hop, view.bands = bands, view.floor = floor;
        int size = n_fft;
        for (int radix : factors(n_fft)) {
            passes.push_back({radix, size, cos_sin(size / radix, radix - 1, 0, size),
                              cos_sin(radix / 2, radix / 2, 1, radix)});
            size /= radix;
        }
        const int bins = n_fft / 2 + 1;
        for (int b = 0; b < bands; ++b) band.push_back(sparse(filters + (int64_t)b * bins, bins));
        view.window = hann(), view.passes = passes.data(), view.band = band.data();
    }
    MelPlan(const MelPlan&) = delete;  // `view` points into it

    static bool supports(int n_fft) { return n_fft > 1 && !factors(n_fft).empty(); }
    const Mel& mel() const { return view; }
};

}  // namespace unsynth
