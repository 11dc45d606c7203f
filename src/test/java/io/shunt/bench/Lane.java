package io.shunt.bench;

import io.shunt.testbed.Load;
import io.shunt.testbed.Traffic;
import java.time.Duration;
import java.util.List;

/** One way to speak to a server, whose rate is compared with others'. */
record Lane(String name, Traffic client, String address, int port, Load.Kind kind) {
    private static final Duration WARM_UP = Duration.ofMillis(100);

    /** One by which connections are made. */
    Lane(String name, Traffic client, String address, int port) {
        this(name, client, address, port, Load.Kind.CONNECT);
    }

    /**
     * Measures lanes against each other: in each round every lane has two slices, in the order A B C C B A, so that what
     * drifts on the machine touches all alike.
     *
     * @return conversations a second, a figure for each round, in the order of the lanes
     */
    static List<double[]> race(List<Lane> lanes, int rounds, Duration slice, Progress progress) {
        int count = lanes.size();
        lanes.forEach(lane -> lane.run(WARM_UP));
        List<double[]> rates = lanes.stream().map(lane -> new double[rounds]).toList();
        for (int round = 0; round < rounds; round++) {
            double[] connects = new double[count];
            double[] seconds = new double[count];
            for (int turn = 0; turn < 2 * count; turn++) {
                int lane = Math.min(turn, 2 * count - 1 - turn);
                Load load = lanes.get(lane).run(slice);
                connects[lane] += load.ok();
                seconds[lane] += load.took().toNanos() / 1e9;
                progress.stopIfInterrupted();
            }
            for (int lane = 0; lane < count; lane++) {
                rates.get(lane)[round] = connects[lane] / seconds[lane];
            }
        }
        return rates;
    }

    private Load run(Duration slice) {
        Load load = client.load(kind, address, port, slice, 1);
        if (load.ok() != load.total()) {
            throw new IllegalStateException(name + ": " + kind + " to " + address + " failed: " + load.outcomes());
        }
        return load;
    }
}
