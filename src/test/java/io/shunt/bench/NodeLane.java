package io.shunt.bench;

import io.shunt.testbed.Namespace;
import java.util.ArrayList;
import java.util.List;

/**
 * A way for frames through a node, whose cost is compared with others'.
 *
 * @param ifindex the device by which they come in
 * @param warmUp how many are sent before any is counted
 * @param most how many go in one slice at the most
 * @param before what is done before each slice
 */
record NodeLane(
        String name,
        Injector injector,
        Namespace namespace,
        int ifindex,
        Injector.Frames frames,
        int warmUp,
        int most,
        Runnable before) {
    private static final double SLICE_NANOS = 40e6;

    /** So many tell how many there is time for. */
    private static final int TRIED = 512;

    private static final int FEWEST = 64;

    /**
     * What a lane came to.
     *
     * @param nanos for each frame that arrived, a figure for each round
     * @param arrived of all frames, 0 to 1
     */
    record Cost(double[] nanos, double arrived) {}

    /** Lets each of the first so many conversations become an established one: asked, answered, and asked again. */
    void establish(int conversations) {
        Injector.Frames answered =
                new Injector.Frames(frames.frame(), conversations - 1, frames.driver(), frames.goesNowhere(), true);
        injector.send(namespace, ifindex, answered, conversations);
        long arrived =
                injector.send(namespace, ifindex, answered, conversations).arrived();
        if (arrived != 2L * conversations && !frames.goesNowhere()) {
            throw new IllegalStateException(
                    "%s: of %d frames and as many answers only %d arrived".formatted(name, conversations, arrived));
        }
    }

    /** Measures lanes against each other: in each round every lane has two slices, in the order A B C C B A. */
    static List<Cost> race(List<NodeLane> lanes, int rounds, Progress progress) {
        int count = lanes.size();
        List<Integer> slices = lanes.stream().map(NodeLane::slice).toList();
        List<double[]> nanos = new ArrayList<>();
        lanes.forEach(lane -> nanos.add(new double[rounds]));
        double[] sent = new double[count];
        double[] arrived = new double[count];
        for (int round = 0; round < rounds; round++) {
            double[] took = new double[count];
            double[] came = new double[count];
            for (int turn = 0; turn < 2 * count; turn++) {
                int lane = Math.min(turn, 2 * count - 1 - turn);
                Injector.Sent slice = lanes.get(lane).send(slices.get(lane));
                took[lane] += slice.nanos();
                came[lane] += slice.arrived();
                sent[lane] += slice.frames();
                progress.stopIfInterrupted();
            }
            for (int lane = 0; lane < count; lane++) {
                nanos.get(lane)[round] = took[lane] / came[lane];
                arrived[lane] += came[lane];
            }
        }
        List<Cost> costs = new ArrayList<>();
        for (int lane = 0; lane < count; lane++) {
            costs.add(new Cost(nanos.get(lane), arrived[lane] / sent[lane]));
        }
        return costs;
    }

    /** How many frames fill a slice. */
    private int slice() {
        if (warmUp > 0) {
            send(warmUp);
        }
        Injector.Sent tried = send(TRIED);
        if (tried.arrived() == 0) {
            throw new IllegalStateException(name + ": not one frame arrived");
        }
        return (int) Math.clamp(SLICE_NANOS * TRIED / tried.nanos(), FEWEST, most);
    }

    private Injector.Sent send(int count) {
        before.run();
        Injector.Sent sent = injector.send(namespace, ifindex, frames, count);
        return frames.goesNowhere() ? new Injector.Sent(sent.nanos(), count, count) : sent;
    }
}
