package io.shunt.daemon;

import java.util.concurrent.CompletableFuture;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** The thread that the control loop runs on. Without it nothing is programmed any more, so its end ends the daemon. */
final class ControlThread implements AutoCloseable {
    private static final Logger log = LoggerFactory.getLogger(ControlThread.class);

    private final ControlLoop loop;
    private final Thread thread;
    private final CompletableFuture<Boolean> ended = new CompletableFuture<>();

    ControlThread(ControlLoop loop) {
        this.loop = loop;
        thread = Thread.ofPlatform().name("shunt-control").daemon().unstarted(this::run);
    }

    private void run() {
        try {
            loop.run();
            ended.complete(true);
        } catch (Throwable t) {
            log.error("the control loop has failed; traffic goes on as it is programmed", t);
            ended.complete(false);
        }
    }

    void start() {
        thread.start();
    }

    /** Completes when the loop has ended: true if it was told to. */
    CompletableFuture<Boolean> ended() {
        return ended;
    }

    /** Stops the loop and waits until it writes no more, so that its maps may be closed. */
    @Override
    public void close() throws InterruptedException {
        if (thread.isAlive()) {
            loop.stop();
            thread.join();
        }
    }
}
