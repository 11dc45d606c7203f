package io.shunt.datapath;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import io.shunt.libbpf.BpfException;
import io.shunt.libbpf.BpfMap;
import io.shunt.net.Address;
import io.shunt.table.Access;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.StructLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.BiFunction;

/** The pinned maps decoded for people, also while no daemon runs. Changes nothing and takes no lock. */
public final class PinnedMaps {
    /** In the order in which a program walks through them. */
    private static final Map<String, Decoder> DECODERS = decoders();

    private static final String SLOTS = "slots";
    private static final String FLOWS_NEW = "flows_new";

    /** 100::/64, from which nobody sends (RFC 6666). */
    private static final long NAMESPACES = 0x0100_0000_0000_0000L;

    /** enum flow_state of types.h. */
    private static final List<String> FLOW_STATES =
            List.of("opening", "answered", "confirmed", "half_closed", "closed", "reset");

    static String flowState(int state) {
        return state >= 0 && state < FLOW_STATES.size() ? FLOW_STATES.get(state) : String.valueOf(state);
    }

    private PinnedMaps() {}

    /** Takes decoded entries, map by map. */
    @FunctionalInterface
    public interface Visitor {
        /** @param fields key and value in the order in which people should read them */
        void entry(String map, Map<String, ?> fields);
    }

    /** One entry's key and value as fields; null for an entry that holds nothing. */
    private interface Decoder extends BiFunction<MemorySegment, MemorySegment, Map<String, ?>> {}

    /**
     * Decodes every entry in use of the maps pinned below {@code bpfRoot}.
     *
     * @throws InstallationException if there are none, or they cannot be read
     */
    public static void dump(Path bpfRoot, Visitor visitor) {
        Path maps = bpfRoot.resolve("maps");
        if (!Files.isDirectory(maps)) {
            throw new InstallationException(
                    "nothing is pinned below " + bpfRoot + ": start `shunt run`, or name its --bpf-root");
        }
        DECODERS.forEach((name, decoder) -> {
            Path pin = maps.resolve(name);
            if (Files.exists(pin)) {
                try (BpfMap map = BpfMap.openPinned(pin)) {
                    map.forEach((key, value) -> {
                        Map<String, ?> fields = decoder.apply(key, value);
                        if (!fields.isEmpty()) {
                            visitor.entry(name, fields);
                        }
                        if (name.equals(SLOTS)) {
                            KernelMaps.forEachSlot(
                                    key.get(JAVA_INT, 0), value, (slot, id) -> visitor.entry(name, slot(slot, id)));
                        } else if (name.equals(FLOWS_NEW)) {
                            FlowRows.anyMatch(value, flow -> {
                                visitor.entry(name, flow(flow));
                                return false;
                            });
                        }
                    });
                } catch (BpfException e) {
                    throw new InstallationException("cannot read " + pin + ": " + e.getMessage() + ": run as root", e);
                }
            }
        });
    }

    private static Map<String, Decoder> decoders() {
        Map<String, Decoder> decoders = new LinkedHashMap<>();
        decoders.put("frontends", PinnedMaps::frontend);
        decoders.put("node_addresses", PinnedMaps::nodeAddress);
        decoders.put("source_ranges", PinnedMaps::sourceRange);
        decoders.put("sets", PinnedMaps::set);
        // Several entries an element, as in flows_new: these are visited one by one.
        decoders.put(SLOTS, (key, value) -> Map.of());
        decoders.put("backends", PinnedMaps::backend);
        decoders.put("local_backends", PinnedMaps::localBackend);
        decoders.put("affinity", PinnedMaps::affinity);
        decoders.put("service_stats", PinnedMaps::stats);
        decoders.put("tcp_origins", (key, value) -> origin(fields("cookie", key.get(JAVA_LONG, 0)), value));
        decoders.put("udp_by_service", PinnedMaps::farOrigin);
        decoders.put("sock_errors", PinnedMaps::error);
        decoders.put("flows", (key, value) -> flow(value));
        decoders.put(FLOWS_NEW, (key, value) -> Map.of());
        decoders.put("fragments", PinnedMaps::fragment);
        decoders.put("drops", PinnedMaps::drop);
        decoders.put("device_sources", PinnedMaps::deviceSources);
        decoders.put("exits", PinnedMaps::exit);
        return decoders;
    }

    private static Map<String, Object> fields(String name, Object value) {
        Map<String, Object> fields = new LinkedHashMap<>();
        fields.put(name, value);
        return fields;
    }

    private static Map<String, ?> frontend(MemorySegment key, MemorySegment value) {
        StructLayout layout = Layouts.FRONTEND_KEY;
        byte bits = value.get(JAVA_BYTE, Layouts.offset(Layouts.FRONTEND, "access"));
        Access access = KernelMaps.access(bits);
        int protocol = Byte.toUnsignedInt(key.get(JAVA_BYTE, Layouts.offset(layout, "protocol")));
        if (protocol == 0) {
            // The address itself.
            Map<String, Object> fields =
                    fields("address", Layouts.address(key, 0).toString());
            fields.put("external", access.external());
            return fields;
        }
        Map<String, Object> fields = fields("address", endpoint(key, layout, "address", "port"));
        fields.put("protocol", protocol);
        fields.put("inside", name(access.inside()));
        fields.put("outside", name(access.outside()));
        fields.put("restricted", access.restricted());
        fields.put("external", access.external());
        fields.put("hashed", KernelMaps.isHashed(bits));
        fields.put("direct", access.direct());
        fields.put("affinity_seconds", value.get(JAVA_INT, Layouts.offset(Layouts.FRONTEND, "affinity_seconds")));
        fields.put("service_id", value.get(JAVA_INT, Layouts.offset(Layouts.FRONTEND, "service_id")));
        return fields;
    }

    private static String name(Enum<?> constant) {
        return constant.name().toLowerCase(Locale.ROOT);
    }

    private static Map<String, ?> nodeAddress(MemorySegment key, MemorySegment value) {
        return fields("address", Layouts.address(key, 0).toString());
    }

    private static Map<String, ?> sourceRange(MemorySegment key, MemorySegment value) {
        Map<String, Object> fields =
                fields("service_id", key.get(JAVA_INT, Layouts.offset(Layouts.SOURCE_RANGE, "service_id")));
        fields.put("range", KernelMaps.prefix(key).toString());
        return fields;
    }

    private static Map<String, ?> localBackend(MemorySegment key, MemorySegment value) {
        Map<String, Object> fields =
                fields("service_id", key.get(JAVA_INT, Layouts.offset(Layouts.LOCAL_BACKEND, "service_id")));
        fields.put(
                "address",
                Layouts.address(key, Layouts.offset(Layouts.LOCAL_BACKEND, "address"))
                        .toString());
        fields.put("backend_id", value.get(JAVA_INT, 0));
        return fields;
    }

    private static Map<String, ?> exit(MemorySegment key, MemorySegment value) {
        Exits.Exit exit = Exits.Exit.read(value);
        if (exit.device() == 0) {
            return Map.of();
        }
        Map<String, Object> fields = fields("device", exit.device());
        fields.put("shortcut", exit.isShortcut());
        return fields;
    }

    private static Map<String, ?> set(MemorySegment key, MemorySegment value) {
        if (value.get(JAVA_LONG, 0) == 0) {
            return Map.of();
        }
        int id = key.get(JAVA_INT, 0);
        Map<String, Object> fields = fields("service_id", KernelMaps.serviceOfSet(id));
        fields.put("reach", name(KernelMaps.reachOfSet(id)));
        fields.put("base", value.get(JAVA_INT, Layouts.offset(Layouts.SET, "base")));
        fields.put("count", value.get(JAVA_INT, Layouts.offset(Layouts.SET, "count")));
        return fields;
    }

    private static Map<String, ?> slot(int slot, int backendId) {
        Map<String, Object> fields = fields("slot", slot);
        fields.put("backend_id", backendId);
        return fields;
    }

    private static Map<String, ?> backend(MemorySegment key, MemorySegment value) {
        StructLayout layout = Layouts.BACKEND;
        byte state = value.get(JAVA_BYTE, Layouts.offset(layout, "state"));
        if (state == 0) {
            return Map.of();
        }
        Map<String, Object> fields = fields("backend_id", key.get(JAVA_INT, 0));
        fields.put("address", endpoint(value, layout, "address", "port"));
        fields.put("state", name(KernelMaps.state(state)));
        fields.put("generation", value.get(JAVA_INT, Layouts.offset(layout, "generation")));
        fields.put("service_id", value.get(JAVA_INT, Layouts.offset(layout, "service_id")));
        return fields;
    }

    private static Map<String, ?> stats(MemorySegment key, MemorySegment value) {
        Map<String, Object> fields = fields("service_id", key.get(JAVA_INT, 0));
        Installation.Counters counters = Installation.sum(value);
        fields.put("connections", counters.connections());
        fields.put("refused", counters.refused());
        return fields;
    }

    private static Map<String, ?> affinity(MemorySegment key, MemorySegment value) {
        Map<String, Object> fields = fields("client", client(Layouts.address(key, 0)));
        fields.put("service_id", key.get(JAVA_INT, Layouts.offset(Layouts.AFFINITY_KEY, "service_id")));
        fields.put("backend_id", value.get(JAVA_INT, Layouts.offset(Layouts.AFFINITY, "backend_id")));
        fields.put("generation", value.get(JAVA_INT, Layouts.offset(Layouts.AFFINITY, "generation")));
        fields.put("last_used_ns", value.get(JAVA_LONG, Layouts.offset(Layouts.AFFINITY, "last_used")));
        return fields;
    }

    /** An address, or the cookie of a network namespace, as affinity.h puts it into one. */
    private static Object client(Address address) {
        return address.high() == NAMESPACES ? address.low() : address.toString();
    }

    private static Map<String, ?> farOrigin(MemorySegment key, MemorySegment value) {
        return origin(
                fields("cookie", key.get(JAVA_LONG, 0)),
                value.asSlice(Layouts.offset(Layouts.FAR_ORIGIN, "origin"), Layouts.ORIGIN));
    }

    private static Map<String, ?> origin(Map<String, Object> fields, MemorySegment value) {
        StructLayout layout = Layouts.ORIGIN;
        fields.put("service", endpoint(value, layout, "service", "service_port"));
        fields.put("backend", endpoint(value, layout, "backend", "backend_port"));
        fields.put("backend_id", value.get(JAVA_INT, Layouts.offset(layout, "backend_id")));
        fields.put("generation", value.get(JAVA_INT, Layouts.offset(layout, "generation")));
        return fields;
    }

    private static Map<String, ?> flow(MemorySegment value) {
        StructLayout layout = Layouts.FLOW;
        MemorySegment from = value.asSlice(Layouts.offset(layout, "from"), Layouts.TUPLE);
        Map<String, Object> fields = fields("from", tuple(from));
        fields.put("to", tuple(value.asSlice(Layouts.offset(layout, "to"), Layouts.TUPLE)));
        fields.put("protocol", Byte.toUnsignedInt(from.get(JAVA_BYTE, Layouts.offset(Layouts.TUPLE, "protocol"))));
        fields.put("state", flowState(value.get(JAVA_BYTE, Layouts.offset(layout, "state"))));
        fields.put("reply", (value.get(JAVA_BYTE, Layouts.offset(layout, "flags")) & Layouts.FLOW_IS_REPLY) != 0);
        fields.put("tunnel", tunnel(value.get(JAVA_BYTE, Layouts.offset(layout, "tunnel"))));
        fields.put("service_id", value.get(JAVA_INT, Layouts.offset(layout, "service_id")));
        fields.put("backend_id", value.get(JAVA_INT, Layouts.offset(layout, "backend_id")));
        fields.put("generation", value.get(JAVA_INT, Layouts.offset(layout, "generation")));
        // The clock of the kernel's that System.nanoTime reads.
        int now = (int) (System.nanoTime() / 1_000_000_000);
        fields.put("silent_seconds", Math.max(0, now - value.get(JAVA_INT, Layouts.offset(layout, "seen"))));
        fields.put("host_device", value.get(JAVA_INT, Layouts.offset(layout, "host_device")));
        return fields;
    }

    /** enum tunnel of types.h. */
    private static String tunnel(int tunnel) {
        return switch (tunnel) {
            case 0 -> "none";
            case 1 -> "into";
            case 2 -> "out_of";
            default -> String.valueOf(tunnel);
        };
    }

    private static String tuple(MemorySegment tuple) {
        return endpoint(tuple, Layouts.TUPLE, "source", "source_port") + " -> "
                + endpoint(tuple, Layouts.TUPLE, "destination", "destination_port");
    }

    private static Map<String, ?> fragment(MemorySegment key, MemorySegment value) {
        StructLayout layout = Layouts.FRAGMENT_KEY;
        Map<String, Object> fields = fields(
                "source", Layouts.address(key, Layouts.offset(layout, "source")).toString());
        fields.put(
                "destination",
                Layouts.address(key, Layouts.offset(layout, "destination")).toString());
        fields.put("protocol", Byte.toUnsignedInt(key.get(JAVA_BYTE, Layouts.offset(layout, "protocol"))));
        // IPv4's has two bytes, as they stand in the packet; so are IPv6's four.
        fields.put("id", String.format("%08x", key.get(JAVA_INT, Layouts.offset(layout, "id"))));
        fields.put("source_port", Layouts.port(value, Layouts.offset(Layouts.FRAGMENT, "source_port")));
        fields.put("destination_port", Layouts.port(value, Layouts.offset(Layouts.FRAGMENT, "destination_port")));
        return fields;
    }

    private static Map<String, ?> drop(MemorySegment key, MemorySegment value) {
        Installation.Drop drop = Drops.drop(key, value);
        Map<String, Object> fields = fields("service_id", drop.serviceId());
        fields.put("reason", drop.reason());
        fields.put("direction", drop.direction());
        fields.put("count", drop.count());
        return fields;
    }

    private static Map<String, ?> deviceSources(MemorySegment key, MemorySegment value) {
        Map<String, Object> fields = fields("device", key.get(JAVA_INT, 0));
        for (String member : List.of("v4", "v6")) {
            Address address = Layouts.address(value, Layouts.offset(Layouts.DEVICE_SOURCES, member));
            fields.put(member, address.isUnspecified() ? "" : address.toString());
        }
        return fields;
    }

    private static Map<String, ?> error(MemorySegment key, MemorySegment value) {
        int error = key.get(JAVA_INT, 0);
        Map<String, Object> fields = fields("error", Installation.socketErrorName(error));
        fields.put("count", Installation.sumWords(value));
        return fields;
    }

    private static String endpoint(MemorySegment segment, StructLayout layout, String address, String port) {
        Address host = Layouts.address(segment, Layouts.offset(layout, address));
        return (host.isV4() ? host : "[" + host + "]") + ":" + Layouts.port(segment, Layouts.offset(layout, port));
    }
}
