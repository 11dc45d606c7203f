package io.shunt.flow;

import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;

/** Flows and drops that a test makes up. */
public final class FixedFlows implements Flows {
    public static final Instant TIME = Instant.parse("2026-01-02T03:04:05.678Z");

    /** How many drops are kept. */
    public static final int KEPT = 100;

    public final List<Flow> flows = new ArrayList<>();
    public final AtomicInteger watched = new AtomicInteger();
    private final DropLog drops = new DropLog(KEPT);

    /** A drop of a client's packet, which counts up. */
    public void drop(String service, int number) {
        drops.append(List.of(new Drop(
                0,
                TIME,
                "TCP",
                "192.168.7.9:" + number,
                "",
                "10.96.0.10:80",
                "service " + service,
                service,
                "http",
                "source_range",
                "to_backend",
                "eth0",
                false)));
    }

    @Override
    public List<Flow> flows(String service, int most) {
        return flows.stream()
                .filter(flow -> service.isEmpty() || flow.service().equals(service))
                .limit(most)
                .toList();
    }

    @Override
    public Instant watch() {
        watched.incrementAndGet();
        return TIME;
    }

    @Override
    public Page drops(long after, Duration wait) throws InterruptedException {
        watched.incrementAndGet();
        return drops.after(after, wait);
    }
}
