package io.shunt.libbpf;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;

/** What a device does in the kernel's stead, as `ethtool -K` sets it. In the network namespace of the calling thread. */
public final class Offloads {
    private static final int AF_INET = 2;
    private static final int SOCK_DGRAM = 2;
    private static final long SIOCETHTOOL = 0x8946;
    private static final int ETHTOOL_STXCSUM = 0x17;
    private static final int IFNAMSIZ = 16;
    private static final int IFREQ = 40;

    private static final MethodHandle IOCTL = Linker.nativeLinker()
            .downcallHandle(
                    Linker.nativeLinker().defaultLookup().findOrThrow("ioctl"),
                    FunctionDescriptor.of(JAVA_INT, JAVA_INT, JAVA_LONG, ADDRESS),
                    Linker.Option.firstVariadicArg(2));

    private Offloads() {}

    /** From now on packets that leave by the device carry whole checksums, as on a wire, and are no longer than there. */
    public static void sumUp(String device) {
        set(device, 0);
    }

    /** As it was before {@link #sumUp}. */
    public static void leaveToDevice(String device) {
        set(device, 1);
    }

    private static void set(String device, int state) {
        try (Arena arena = Arena.ofConfined();
                Fd socket = Syscalls.socket(AF_INET, SOCK_DGRAM, 0, "AF_INET")) {
            MemorySegment value = arena.allocate(JAVA_INT, 2);
            value.set(JAVA_INT, 0, ETHTOOL_STXCSUM);
            value.set(JAVA_INT, Integer.BYTES, state);
            MemorySegment request = arena.allocate(IFREQ, Long.BYTES);
            request.setString(0, device);
            request.set(ADDRESS, IFNAMSIZ, value);
            int result = (int) IOCTL.invokeExact(socket.number(), SIOCETHTOOL, request);
            if (result != 0) {
                throw new IllegalStateException("the checksum offload of " + device + " cannot be switched");
            }
        } catch (Throwable t) {
            throw Native.rethrow(t);
        }
    }
}
