package io.shunt.libbpf;

import static java.lang.foreign.ValueLayout.JAVA_INT;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * Waits for the kernel's RCU readers, which programs are that do not sleep. Writing an element of a map of maps does
 * that before it returns (kernel/bpf/syscall.c, maybe_wait_bpf_programs), on every machine; membarrier's
 * MEMBARRIER_CMD_GLOBAL waits for nobody where one CPU is online, and refuses under nohz_full.
 */
public final class RcuBarrier implements AutoCloseable {
    private final BpfMap inner;
    private final BpfMap outer;

    public RcuBarrier() {
        inner = BpfMap.create("shunt_rcu_inner", MapType.ARRAY, Integer.BYTES, Integer.BYTES, 1, 0);
        try {
            outer = BpfMap.createArrayOf(inner, "shunt_rcu", 1);
        } catch (RuntimeException e) {
            inner.close();
            throw e;
        }
    }

    /**
     * Returns when every program that runs now has ended. Takes milliseconds, and a virtual thread's carrier with it.
     *
     * @throws BpfException EBADF after {@link #close}
     */
    public void await() {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment index = arena.allocate(JAVA_INT);
            outer.update(index, arena.allocateFrom(JAVA_INT, inner.fd()), BpfMap.ANY);
        }
    }

    @Override
    public void close() {
        outer.close();
        inner.close();
    }
}
