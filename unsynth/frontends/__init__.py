"""Front ends: what encoders, searches and indexes see of a sound."""
