package io.shunt.libbpf;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.MethodType;
import org.jspecify.annotations.Nullable;

/**
 * Reads the events that programs put into a map of type {@link MapType#RINGBUF}, each once and in the order in which
 * they were reserved. Belongs to whoever made it, and its map must stay open until it is closed.
 *
 * <p>Poll from a platform thread: a wait in C holds a virtual thread's carrier for all its time. {@link #close} from
 * another thread waits for the poll under way.
 */
public final class RingBuffer implements AutoCloseable {
    private final String name;
    private final Consumer consumer;

    /** Holds the callback, and so must outlive {@link #handle}. */
    private final Arena arena = Arena.ofShared();

    private MemorySegment handle = MemorySegment.NULL;
    private boolean reading;
    private @Nullable Throwable thrown;

    /** Takes an event. */
    @FunctionalInterface
    public interface Consumer {
        /**
         * Called on the thread that polls. What it throws ends that poll, after this event, and comes out of it.
         *
         * @param event what the program wrote; to be read before this returns, for then it is overwritten
         */
        void event(MemorySegment event);
    }

    /**
     * Starts where the last reader of the map stopped: two readers at a time would take each other's events.
     *
     * @throws BpfException EINVAL if the map is no ring buffer
     */
    public RingBuffer(BpfMap map, Consumer consumer) {
        this.name = map.name();
        this.consumer = consumer;
        try (Arena call = Arena.ofConfined()) {
            MemorySegment errno = Native.errnoState(call);
            MemorySegment callback = Native.upcall(Calls.EVENT.bindTo(this), Calls.EVENT_TYPE, arena);
            MemorySegment made = (MemorySegment)
                    Calls.NEW.invokeExact(errno, map.fd(), callback, MemorySegment.NULL, MemorySegment.NULL);
            if (Native.isNull(made)) {
                throw new BpfException("ring_buffer__new", map.toString(), Native.errno(errno), null);
            }
            handle = made;
        } catch (Throwable t) {
            arena.close();
            throw Native.rethrow(t);
        }
    }

    /**
     * Waits for events and hands over all there are.
     *
     * @param timeoutMillis milliseconds to wait for the first; -1 for ever, which {@link #close} then waits for, too
     * @return how many were handed over; 0 after the timeout
     */
    public int poll(int timeoutMillis) {
        return read(Calls.POLL, "ring_buffer__poll", timeoutMillis);
    }

    /** Hands over the events that are there now, also those whose writer chose not to wake a reader. */
    public int consume() {
        return read(Calls.CONSUME, "ring_buffer__consume", 0);
    }

    private synchronized int read(MethodHandle call, String function, int timeoutMillis) {
        if (Native.isNull(handle)) {
            throw new IllegalStateException(this + " is closed");
        }
        int result;
        reading = true;
        try {
            result = (int) call.invokeExact(handle, timeoutMillis);
        } catch (Throwable t) {
            throw Native.rethrow(t);
        } finally {
            reading = false;
        }
        Throwable fromConsumer = thrown;
        if (fromConsumer != null) {
            thrown = null;
            throw Native.rethrow(fromConsumer);
        }
        return result == -Errno.EINTR.number() ? 0 : BpfException.check(result, function, this);
    }

    /** ring_buffer_sample_fn, called from C. An exception that left it would end the process. */
    @SuppressWarnings({"UnusedMethod", "UnusedVariable"})
    private int event(MemorySegment context, MemorySegment data, long size) {
        try {
            consumer.event(data.reinterpret(size));
            return 0;
        } catch (Throwable t) {
            thrown = t;
            return -Errno.ECANCELED.number();
        }
    }

    @Override
    public synchronized void close() {
        if (reading) {
            throw new IllegalStateException(this + " cannot be closed by its own consumer");
        }
        if (Native.isNull(handle)) {
            return;
        }
        try {
            Calls.FREE.invokeExact(handle);
        } catch (Throwable t) {
            throw Native.rethrow(t);
        }
        handle = MemorySegment.NULL;
        arena.close();
    }

    @Override
    public String toString() {
        return "ring buffer " + name;
    }

    private static final class Calls {
        static final MethodHandle NEW = Native.libbpf(
                "ring_buffer__new", FunctionDescriptor.of(ADDRESS, JAVA_INT, ADDRESS, ADDRESS, ADDRESS), Native.ERRNO);
        static final MethodHandle POLL = Native.libbpf("ring_buffer__poll", Native.INT_FROM_POINTER_INT);

        /** Takes one argument; the second, there so that both functions have one shape, it drops. */
        static final MethodHandle CONSUME = MethodHandles.dropArguments(
                Native.libbpf("ring_buffer__consume", Native.INT_FROM_POINTER), 1, int.class);

        static final MethodHandle FREE = Native.libbpf("ring_buffer__free", Native.VOID_FROM_POINTER);
        static final FunctionDescriptor EVENT_TYPE = FunctionDescriptor.of(JAVA_INT, ADDRESS, ADDRESS, JAVA_LONG);
        static final MethodHandle EVENT = eventHandle();

        private static MethodHandle eventHandle() {
            try {
                return MethodHandles.lookup()
                        .findVirtual(
                                RingBuffer.class,
                                "event",
                                MethodType.methodType(int.class, MemorySegment.class, MemorySegment.class, long.class));
            } catch (ReflectiveOperationException e) {
                throw new LinkageError("RingBuffer.event", e);
            }
        }
    }
}
