package io.shunt.testbed;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.BindException;
import java.net.ServerSocket;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * TCP ports that are free, and stay so until the test takes them: the kernel gives to whoever asks for any one only those
 * from 32768 on, if nobody has told it otherwise.
 */
public final class FreePorts {
    private static final int FIRST = 20_000;
    private static final int COUNT = 10_000;

    /** Tests of several processes do not begin at the same one. */
    private static final AtomicInteger tried =
            new AtomicInteger((int) (ProcessHandle.current().pid() * 37 % COUNT));

    private FreePorts() {}

    /** One that this has not given yet. */
    public static int next() {
        while (true) {
            int port = FIRST + tried.getAndIncrement() % COUNT;
            try (ServerSocket free = new ServerSocket(port)) {
                return free.getLocalPort();
            } catch (BindException taken) {
                continue;
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        }
    }
}
