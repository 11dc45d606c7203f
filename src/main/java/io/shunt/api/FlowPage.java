package io.shunt.api;

import io.shunt.flow.Drop;
import io.shunt.flow.Flow;
import io.shunt.flow.Flows;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.io.OutputStream;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.concurrent.Semaphore;
import java.util.regex.Pattern;

/**
 * /api/v1/flows: JSON, a line each. Who follows drops holds nothing here but a thread and its place among the drops that are
 * kept for all; so one that does not read misses drops, and is told how many when it reads again.
 */
final class FlowPage implements PageServer.Page {
    static final int MOST_FOLLOWERS = 64;

    /** Well before the server cuts off answers that take too long; who wants more asks again with the last id. */
    static final Duration FOLLOWED_FOR = Duration.ofSeconds(50);

    private static final String LINES = "application/x-ndjson";
    private static final Duration WAIT = Duration.ofSeconds(5);
    private static final int USUAL_LIMIT = 1_000;
    private static final int MOST = 10_000;
    private static final Pattern SERVICE = Pattern.compile("[a-z0-9.-]+/[a-z0-9.-]+");

    private final Flows flows;
    private final Semaphore followers = new Semaphore(MOST_FOLLOWERS);

    FlowPage(Flows flows) {
        this.flows = flows;
    }

    @Override
    public Reply reply(Query query) {
        String service = query.text("service", SERVICE, "NAMESPACE/NAME");
        if (!query.flag("dropped")) {
            return flows(service, (int) query.number("limit", USUAL_LIMIT, 1, MOST));
        }
        long after = query.number("after", 0, 0, Long.MAX_VALUE);
        if (!query.flag("follow")) {
            return recent(service, after);
        }
        if (followers.availablePermits() == 0) {
            return Reply.error(503, MOST_FOLLOWERS + " clients follow already, which is as many as may");
        }
        return new Reply(200, LINES, out -> follow(service, after, out));
    }

    private Reply flows(String service, int limit) {
        return new Reply(200, LINES, out -> {
            List<Flow> found = flows.flows(service, limit);
            for (Flow flow : found) {
                line(out, flow);
            }
            if (found.size() == limit) {
                line(
                        out,
                        new Notice("there may be more than " + limit + "; limit=" + MOST
                                + " is the most that can be asked for"));
            }
        });
    }

    private Reply recent(String service, long after) {
        return new Reply(200, LINES, out -> {
            Instant since = flows.watch();
            line(out, new Notice("drops are told while somebody asks, and for a minute longer: now since " + since));
            write(page(after, Duration.ZERO), service, out);
        });
    }

    private void follow(String service, long after, OutputStream out) throws IOException {
        if (!followers.tryAcquire()) {
            return;
        }
        try {
            long last = after;
            long end = System.nanoTime() + FOLLOWED_FOR.toNanos();
            out.flush();
            while (System.nanoTime() - end < 0) {
                Flows.Page page = page(last, WAIT);
                write(page, service, out);
                out.flush();
                last = page.last();
            }
        } finally {
            followers.release();
        }
    }

    private Flows.Page page(long after, Duration wait) throws InterruptedIOException {
        try {
            return flows.drops(after, wait);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new InterruptedIOException("the server stops");
        }
    }

    private static void write(Flows.Page page, String service, OutputStream out) throws IOException {
        if (page.lost() > 0) {
            line(out, new Notice(page.lost() + " drops came before these and are gone: they were not read in time"));
        }
        for (Drop drop : page.drops()) {
            if (service.isEmpty() || drop.service().equals(service)) {
                line(out, drop);
            }
        }
    }

    private static void line(OutputStream out, Object value) throws IOException {
        Json.write(out, value);
        out.write('\n');
    }
}
