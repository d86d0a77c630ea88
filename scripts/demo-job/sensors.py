"""A day of accelerometer readings from a hundred machines: which of them shake, and at which frequency?

An ordinary batch job: load, clean, compute features per window, rank. It was written for a few machines, and keeps of each
more than anyone remembers.
"""

import sys

import numpy as np

RATE = 400  # readings per second
SECONDS = 600  # of each recording
WINDOW = 1024  # readings that one spectrum is made of
STEP = 64  # readings from one window to the next


def load_recording(machine):
    """Three axes of one machine, as a file would hold them."""
    random = np.random.default_rng(machine)
    time = np.arange(RATE * SECONDS) / RATE
    hum = np.sin(2 * np.pi * (20 + machine % 7) * time)
    axes = random.normal(scale=0.5, size=(3, time.size))
    axes += hum
    return axes.astype(np.float32)


def remove_outliers(axes):
    """Readings beyond four deviations are the sensor's mistakes."""
    middle = np.median(axes, axis=1, keepdims=True)
    spread = axes.std(axis=1, keepdims=True)
    return np.clip(axes, middle - 4 * spread, middle + 4 * spread)


def windows_of(axis):
    """Overlapping windows, each with the offset and the edges taken out."""
    views = np.lib.stride_tricks.sliding_window_view(axis, WINDOW)[::STEP]
    return (views - views.mean(axis=1, keepdims=True)) * np.hanning(WINDOW)


def spectra_of(axis):
    """How strong each frequency is in each window."""
    waves = np.fft.rfft(windows_of(axis), axis=1)
    return np.abs(waves)


def features_of(spectra):
    """Per window: the strongest frequency, and how much of the whole it is."""
    strongest = spectra.argmax(axis=1)
    share = spectra.max(axis=1) / spectra.sum(axis=1)
    return np.column_stack([strongest * RATE / WINDOW, share])


class Machine:
    """What is kept of a machine until the report is written."""

    def __init__(self, number):
        self.number = number
        self.axes = remove_outliers(load_recording(number))
        # Kept for the plots, which nobody makes any more.
        self.spectra = [spectra_of(axis) for axis in self.axes]
        self.example = windows_of(self.axes[0])
        self.features = np.vstack([features_of(spectra) for spectra in self.spectra])

    def shaking(self):
        return float(np.median(self.features[:, 1]))

    def frequency(self):
        return float(np.median(self.features[:, 0]))


def main(machines):
    fleet = []
    for number in range(machines):
        fleet.append(Machine(number))
        print(f"machine {number}: {fleet[-1].frequency():.1f} Hz", flush=True)
    for machine in sorted(fleet, key=Machine.shaking, reverse=True)[:5]:
        print(f"look at machine {machine.number}: {machine.shaking():.0%} at {machine.frequency():.1f} Hz")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100)
