package io.shunt.datapath;

import java.util.List;
import java.util.stream.IntStream;

/** The names of all reasons for which the packet programs drop or answer a packet. */
public final class DropReasons {
    private DropReasons() {}

    public static List<String> all() {
        return IntStream.iterate(1, reason -> reason + 1)
                .mapToObj(reason -> Drops.reason(reason))
                .takeWhile(name -> !Character.isDigit(name.charAt(0)))
                .toList();
    }
}
