package io.shunt.datapath;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import io.shunt.libbpf.BpfMap;
import io.shunt.net.Address;
import io.shunt.net.Protocol;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;

/** The sweep in the real kernel, over flows that were written as the packet programs write them. */
@Tag("kernel")
class SweepTest {
    private static final FlowTimeouts TIMEOUTS = new FlowTimeouts(
            Duration.ofSeconds(1000), Duration.ofSeconds(500), Duration.ofMillis(19_500), Duration.ofSeconds(200));

    private static final long FROM = Layouts.offset(Layouts.FLOW, "from");

    /** Of enum tunnel. */
    private static final int NO_TUNNEL = 0;

    private static final int INTO_TUNNEL = 1;

    private Ground ground;
    private Installation installation;
    private BpfMap flows;
    private Consumer<MemorySegment> into;

    @BeforeEach
    void start() {
        ground = new Ground();
        installation = ground.add(ground.install());
        flows = installation.packets().map("flows");
        into = flow -> flows.update(flow.asSlice(FROM, Layouts.TUPLE), flow, BpfMap.NOEXIST);
    }

    @AfterEach
    void stop() {
        ground.close();
    }

    private enum State {
        OPENING,
        ANSWERED,
        CONFIRMED,
        HALF_CLOSED,
        CLOSED,
        RESET
    }

    /** Both entries of the flow that a client has from this port, by when either side has spoken last. */
    private void put(int port, Protocol protocol, State state, int clientSilent, int backendSilent) {
        put(port, protocol, state, false, clientSilent);
        put(port, protocol, state, true, backendSilent);
    }

    private void put(int port, Protocol protocol, State state, boolean reply, int silentSeconds) {
        put(port, protocol, state, reply, silentSeconds, NO_TUNNEL);
    }

    private void put(int port, Protocol protocol, State state, boolean reply, int silentSeconds, int tunnel) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment flow = arena.allocate(Layouts.ROUTED_FLOW);
            long to = Layouts.offset(Layouts.FLOW, "to");
            if (reply) {
                putTuple(flow, FROM, protocol, "10.1.0.2", 8080, "192.0.2.9", port);
                putTuple(flow, to, protocol, "10.96.0.1", 80, "192.0.2.9", port);
            } else {
                putTuple(flow, FROM, protocol, "192.0.2.9", port, "10.96.0.1", 80);
                putTuple(flow, to, protocol, "192.0.2.9", port, "10.1.0.2", 8080);
            }
            // The clock of bpf_ktime_get_ns.
            long now = System.nanoTime() / 1_000_000_000;
            flow.set(JAVA_INT, Layouts.offset(Layouts.FLOW, "seen"), (int) now - silentSeconds);
            flow.set(JAVA_BYTE, Layouts.offset(Layouts.FLOW, "state"), (byte) state.ordinal());
            flow.set(JAVA_BYTE, Layouts.offset(Layouts.FLOW, "flags"), (byte) (reply ? Layouts.FLOW_IS_REPLY : 0));
            flow.set(JAVA_BYTE, Layouts.offset(Layouts.FLOW, "tunnel"), (byte) tunnel);
            into.accept(flow);
        }
    }

    private static void putTuple(
            MemorySegment flow, long at, Protocol protocol, String source, int sourcePort, String to, int port) {
        Layouts.putAddress(flow, at + Layouts.offset(Layouts.TUPLE, "source"), Address.of(source));
        Layouts.putAddress(flow, at + Layouts.offset(Layouts.TUPLE, "destination"), Address.of(to));
        Layouts.putPort(flow, at + Layouts.offset(Layouts.TUPLE, "source_port"), sourcePort);
        Layouts.putPort(flow, at + Layouts.offset(Layouts.TUPLE, "destination_port"), port);
        flow.set(JAVA_BYTE, at + Layouts.offset(Layouts.TUPLE, "protocol"), (byte) protocol.number());
    }

    private List<String> dumped() {
        List<String> dumped = new ArrayList<>();
        PinnedMaps.dump(ground.pins().path(), (map, fields) -> {
            if (map.equals("flows")) {
                dumped.add(fields.toString());
            }
        });
        return dumped;
    }

    private int entries() {
        int[] count = {0};
        flows.forEach((key, value) -> count[0]++);
        return count[0];
    }

    /** By both programs, of which this kernel takes either. */
    static Stream<Arguments> timeouts() {
        return Stream.of(Sweep.Kind.values()).flatMap(SweepTest::timeouts);
    }

    private static Stream<Arguments> timeouts(Sweep.Kind kind) {
        return Stream.of(
                Arguments.of(kind, Protocol.TCP, State.OPENING, 120),
                Arguments.of(kind, Protocol.TCP, State.ANSWERED, 60),
                Arguments.of(kind, Protocol.TCP, State.CONFIRMED, 1000),
                Arguments.of(kind, Protocol.TCP, State.HALF_CLOSED, 500),
                Arguments.of(kind, Protocol.TCP, State.CLOSED, 10),
                Arguments.of(kind, Protocol.TCP, State.RESET, 10),
                Arguments.of(kind, Protocol.UDP, State.OPENING, 20),
                Arguments.of(kind, Protocol.UDP, State.ANSWERED, 20),
                Arguments.of(kind, Protocol.UDP, State.CONFIRMED, 200),
                Arguments.of(kind, Protocol.SCTP, State.CONFIRMED, 210));
    }

    @ParameterizedTest(name = "{0}: {1} {2}: {3} s")
    @MethodSource("timeouts")
    void flow_isForgottenAfterTheTimeoutOfItsState(Sweep.Kind kind, Protocol protocol, State state, int seconds) {
        try (Sweep sweep = Sweep.load(installation.packets().maps(), TIMEOUTS, kind)) {
            put(1, protocol, state, seconds + 5, seconds + 5);
            put(2, protocol, state, seconds - 5, seconds - 5);
            sweep.run();
            assertThat(entries()).isEqualTo(2);
            assertThat(sweep.flows()).isEqualTo(new Sweep.Flows(1, 1, 0));
            sweep.run();
            assertThat(sweep.flows()).as("the same flow is not counted again").isEqualTo(new Sweep.Flows(1, 1, 0));
        }
    }

    /** In the map of those that have not come so far as to be confirmed. */
    @ParameterizedTest(name = "{0}: {1} {2}: {3} s")
    @MethodSource("timeouts")
    void unconfirmedFlow_isForgottenAfterTheTimeoutOfItsState_andOneThatIsOverIsNot(
            Sweep.Kind kind, Protocol protocol, State state, int seconds) {
        NewFlows unconfirmed = new NewFlows(installation.packets().map("flows_new"));
        into = unconfirmed::put;
        put(1, protocol, state, seconds + 5, seconds + 5);
        put(2, protocol, state, seconds - 5, seconds - 5);
        boolean over = state == State.CLOSED || state == State.RESET;
        try (Sweep sweep = Sweep.load(installation.packets().maps(), TIMEOUTS, kind)) {
            for (int i = 0; i < 2; i++) {
                sweep.run();
                assertThat(unconfirmed.count()).isEqualTo(over ? 4 : 2);
                assertThat(sweep.flows().forgotten()).isEqualTo(over ? 0 : 1);
                assertThat(sweep.flows().evicted()).isZero();
            }
        }
    }

    @ParameterizedTest
    @EnumSource(Sweep.Kind.class)
    void flow_livesAsLongAsEitherSideSpeaks(Sweep.Kind kind) {
        put(1, Protocol.TCP, State.CONFIRMED, 2000, 0);
        put(2, Protocol.TCP, State.CONFIRMED, 0, 2000);
        try (Sweep sweep = Sweep.load(installation.packets().maps(), TIMEOUTS, kind)) {
            sweep.run();
            assertThat(sweep.flows()).isEqualTo(new Sweep.Flows(2, 0, 0));
            assertThat(entries()).isEqualTo(4);
        }
    }

    /** One entry, whose turned round one is another conversation's. */
    @ParameterizedTest(name = "{0}: {1} {2}: {3} s")
    @MethodSource("timeouts")
    void flowOfWhichOneWayIsSeen_isForgottenByItself(Sweep.Kind kind, Protocol protocol, State state, int seconds) {
        try (Sweep sweep = Sweep.load(installation.packets().maps(), TIMEOUTS, kind)) {
            put(1, protocol, state, false, seconds + 5, INTO_TUNNEL);
            put(1, protocol, state, true, 0);
            put(2, protocol, state, false, seconds - 5, INTO_TUNNEL);
            sweep.run();
            assertThat(dumped())
                    .hasSize(2)
                    .anyMatch(flow -> flow.contains("reply=true, tunnel=none, "))
                    .anyMatch(flow -> flow.startsWith("{from=192.0.2.9:2 -> ") && flow.contains(" tunnel=into, "));
        }
    }

    @Test
    void zero_isNetfiltersTimeout() {
        int day = 24 * 3600;
        FlowTimeouts none = new FlowTimeouts(Duration.ZERO, Duration.ZERO, Duration.ZERO, Duration.ZERO);
        try (Sweep sweep = Sweep.load(installation.packets().maps(), none)) {
            put(1, Protocol.TCP, State.CONFIRMED, 5 * day + 5, 5 * day + 5);
            put(2, Protocol.TCP, State.CONFIRMED, 5 * day - 5, 5 * day - 5);
            put(3, Protocol.TCP, State.HALF_CLOSED, 65, 65);
            put(4, Protocol.UDP, State.CONFIRMED, 125, 125);
            put(5, Protocol.UDP, State.CONFIRMED, 115, 115);
            put(6, Protocol.UDP, State.OPENING, 35, 35);
            sweep.run();
            assertThat(sweep.flows()).isEqualTo(new Sweep.Flows(2, 4, 0));
        }
    }

    @Test
    void openedSweep_runsByItself() {
        put(1, Protocol.TCP, State.RESET, 100, 100);
        try (Sweep sweep = Sweep.open(installation, TIMEOUTS)) {
            await().untilAsserted(() -> assertThat(sweep.flows().forgotten()).isEqualTo(1));
            put(2, Protocol.TCP, State.RESET, 100, 100);
            await().untilAsserted(() -> assertThat(sweep.flows().forgotten()).isGreaterThan(1));
            assertThat(sweep.trouble()).isEmpty();
        }
    }

    @Test
    void dump_showsAFlow() {
        put(4711, Protocol.TCP, State.HALF_CLOSED, 0, 0);
        assertThat(dumped())
                .hasSize(2)
                .anyMatch(flow ->
                        flow.startsWith("{from=192.0.2.9:4711 -> 10.96.0.1:80, to=192.0.2.9:4711 -> 10.1.0.2:8080,"
                                + " protocol=6, state=half_closed, reply=false, tunnel=none, "))
                .anyMatch(flow ->
                        flow.startsWith("{from=10.1.0.2:8080 -> 192.0.2.9:4711, to=10.96.0.1:80 -> 192.0.2.9:4711,"
                                + " protocol=6, state=half_closed, reply=true, tunnel=none, "));
    }
}
