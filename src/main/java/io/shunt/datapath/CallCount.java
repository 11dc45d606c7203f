package io.shunt.datapath;

import io.shunt.libbpf.BpfException;
import java.util.concurrent.atomic.LongAdder;
import java.util.function.Supplier;

/** How often one kind of write was made to one map, and how often the kernel refused it. Safe to read from any thread. */
public final class CallCount {
    private final String call;
    private final String map;
    private final LongAdder count = new LongAdder();
    private final LongAdder errors = new LongAdder();

    CallCount(String call, String map) {
        this.call = call;
        this.map = map;
    }

    <T> T count(Supplier<T> write) {
        count.increment();
        try {
            return write.get();
        } catch (BpfException e) {
            errors.increment();
            throw e;
        }
    }

    void count() {
        count.increment();
    }

    /** {@code update}, {@code delete} or {@code store}. */
    public String call() {
        return call;
    }

    public String map() {
        return map;
    }

    public long total() {
        return count.sum();
    }

    public long failed() {
        return errors.sum();
    }
}
