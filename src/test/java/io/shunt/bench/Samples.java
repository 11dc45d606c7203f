package io.shunt.bench;

import java.util.Arrays;
import java.util.Locale;
import java.util.SplittableRandom;
import java.util.stream.IntStream;

/** Figures of one kind, and what can be said of them. */
final class Samples {
    private static final int RESAMPLES = 4000;
    private static final long SEED = 20_250_101;

    private final double[] sorted;

    Samples(double... values) {
        sorted = values.clone();
        Arrays.sort(sorted);
    }

    /** The ratios of two rows of figures that were taken in pairs. */
    static Samples ratios(double[] numerators, double[] denominators) {
        return new Samples(IntStream.range(0, numerators.length)
                .mapToDouble(i -> numerators[i] / denominators[i])
                .toArray());
    }

    int count() {
        return sorted.length;
    }

    double median() {
        return quantile(0.5);
    }

    double max() {
        return sorted[sorted.length - 1];
    }

    /** @param q 0 to 1; between two figures, in proportion */
    double quantile(double q) {
        double place = q * (sorted.length - 1);
        int below = (int) place;
        int above = Math.min(below + 1, sorted.length - 1);
        return sorted[below] + (place - below) * (sorted[above] - sorted[below]);
    }

    /** The 95 % bootstrap confidence interval of the median: its low and its high end. */
    double[] medianInterval() {
        SplittableRandom random = new SplittableRandom(SEED);
        double[] medians = new double[RESAMPLES];
        double[] resample = new double[sorted.length];
        for (int i = 0; i < RESAMPLES; i++) {
            for (int j = 0; j < resample.length; j++) {
                resample[j] = sorted[random.nextInt(sorted.length)];
            }
            medians[i] = new Samples(resample).median();
        }
        Samples all = new Samples(medians);
        return new double[] {all.quantile(0.025), all.quantile(0.975)};
    }

    /** As {@code 0.981 (0.976 to 0.985)}. */
    String medianWithInterval() {
        double[] interval = medianInterval();
        return String.format(Locale.ROOT, "%.3f (%.3f to %.3f)", median(), interval[0], interval[1]);
    }
}
