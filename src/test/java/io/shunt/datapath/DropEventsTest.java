package io.shunt.datapath;

import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;
import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import io.shunt.datapath.DropEvents.Ends;
import io.shunt.datapath.DropEvents.Event;
import io.shunt.datapath.Packet.Tuple;
import io.shunt.datapath.PacketCase.Hook;
import io.shunt.datapath.PacketLab.Installed;
import io.shunt.datapath.PacketTable.Net;
import io.shunt.datapath.PacketTable.Talk;
import io.shunt.flow.Flows;
import io.shunt.flow.KernelFlows;
import io.shunt.flow.Names;
import io.shunt.flow.ServicePort;
import io.shunt.libbpf.BpfMap;
import io.shunt.libbpf.RingBuffer;
import io.shunt.net.Protocol;
import io.shunt.table.Access;
import io.shunt.table.Reach;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** What the packet programs tell of single drops, and when they are silent. */
@Tag("kernel")
class DropEventsTest {
    private static PacketLab lab;

    private final List<Event> told = new ArrayList<>();
    private Installed node;

    @BeforeAll
    static void start() {
        lab = new PacketLab();
    }

    @AfterAll
    static void stop() {
        lab.close();
    }

    @BeforeEach
    void reset() {
        node = lab.installed(PacketCase.settings(false, false, List.of()));
        node.reset();
        // Nobody reads, and nothing is left of what others wrote.
        open().close();
        told.clear();
    }

    private DropEvents open() {
        return node.installation().openDropEvents(told::add);
    }

    private void send(Tuple from) {
        node.run(Hook.OUTSIDE, Draft.first(from).packet().framed(), false);
    }

    private static Ends ends(Tuple tuple) {
        return new Ends(
                tuple.source(),
                tuple.sourcePort(),
                tuple.destination(),
                tuple.destinationPort(),
                tuple.protocol().number());
    }

    /** How many may still be told. */
    private long credit() {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment value = arena.allocate(JAVA_LONG);
            node.map("event_credit").lookup(arena.allocateFrom(JAVA_INT, 0), value);
            return value.get(JAVA_LONG, 0);
        }
    }

    @ParameterizedTest
    @EnumSource
    void packets_thatAreDroppedOrRefused_areToldAsTheSenderHadThem(Net net) {
        Talk talk = new Talk(net, Protocol.TCP);
        Tuple asks = talk.asks();
        int eth0 = lab.index("eth0");
        try (DropEvents events = open()) {
            events.grant(10);
            long before = System.nanoTime();

            int web = node.put(talk.nodePort(PacketTable.ANYWHERE));
            send(asks);
            node.put(talk.nodePort(PacketTable.HERE, talk.far()));
            send(asks);
            node.put(talk.nodePort(PacketTable.RESTRICTED, talk.here()));
            send(asks);
            Tuple nowhere = talk.between(net.client, 40_000, net.cluster, 81);
            node.put(talk.service(talk.at(net.cluster), Access.OPEN, talk.here()));
            send(nowhere);

            events.poll(0);
            assertThat(told)
                    .usingRecursiveFieldByFieldElementComparatorIgnoringFields("nanoTime")
                    .containsExactly(
                            new Event(0, ends(asks), "refused", "to_backend", web, eth0, false),
                            new Event(0, ends(asks), "no_local_backend", "to_backend", web, eth0, false),
                            new Event(0, ends(asks), "source_range", "to_backend", web, eth0, false),
                            new Event(0, ends(nowhere), "no_service", "to_backend", 0, eth0, false));
            assertThat(told).extracting(Event::nanoTime).isSorted().allMatch(time -> time > before);
        }
    }

    @Test
    void whileNobodyReads_nothingIsTold() {
        Talk talk = new Talk(Net.V4, Protocol.TCP);
        node.put(talk.nodePort(PacketTable.ANYWHERE));
        for (int i = 0; i < 10; i++) {
            send(talk.asks());
        }
        assertThat(node.drops()).hasSize(10);
        assertThat(credit()).isZero();
        assertThat(written()).isZero();
    }

    /** How many events are in the buffer that nobody has read. */
    private int written() {
        int[] count = new int[1];
        try (RingBuffer buffer = new RingBuffer(node.map("events"), event -> count[0]++)) {
            buffer.consume();
        }
        return count[0];
    }

    @Test
    void burst_isToldAsFarAsGranted_andTheLastSaysThatThereMayBeMore() {
        Talk talk = new Talk(Net.V6, Protocol.UDP);
        node.put(talk.nodePort(PacketTable.ANYWHERE));
        try (DropEvents events = open()) {
            events.grant(100);
            for (int i = 0; i < 500; i++) {
                send(talk.asks());
            }
            events.poll(0);
            assertThat(told).hasSize(100);
            assertThat(told.subList(0, 99)).noneMatch(Event::isLast);
            assertThat(told.getLast().isLast()).isTrue();
            events.poll(0);
            assertThat(told).hasSize(100);

            events.grant(100);
            send(talk.asks());
            events.poll(0);
            assertThat(told).hasSize(101);
        }
        assertThat(node.drops()).hasSize(501);
    }

    @Test
    void readerThatWasKilled_isToldWhatItHadGranted_andTheNextDoesNotHearOfIt() {
        Talk talk = new Talk(Net.V4, Protocol.TCP);
        node.put(talk.nodePort(PacketTable.ANYWHERE));
        try (DropEvents events = open()) {
            events.grant(20);
        }
        // As a process leaves it that had no time to close.
        grant(20);
        for (int i = 0; i < 50; i++) {
            send(talk.asks());
        }
        assertThat(credit()).isLessThanOrEqualTo(0);
        try (DropEvents next = open()) {
            next.poll(0);
            assertThat(told).isEmpty();
            send(talk.asks());
            next.poll(0);
            assertThat(told).isEmpty();
            next.grant(20);
            send(talk.asks());
            next.poll(0);
            assertThat(told).hasSize(1);
        }
        assertThat(written()).isZero();
    }

    private void grant(long events) {
        try (Arena arena = Arena.ofConfined()) {
            node.map("event_credit")
                    .update(arena.allocateFrom(JAVA_INT, 0), arena.allocateFrom(JAVA_LONG, events), BpfMap.ANY);
        }
    }

    @Test
    void programsAreSilentAgain_whenNobodyHasAskedForAWhile() throws InterruptedException {
        Talk talk = new Talk(Net.V4, Protocol.TCP);
        int web = node.put(talk.nodePort(PacketTable.ANYWHERE));
        Names names = new Names("node-1", () -> Set.of(talk.net().node), List::of, List::of);
        Map<Integer, ServicePort> services = Map.of(web, new ServicePort("test/web", "http"));
        try (KernelFlows flows = new KernelFlows(node.installation(), names, () -> services, Duration.ofSeconds(2))) {
            Flows.Page none = flows.drops(0, Duration.ZERO);
            assertThat(none.drops()).isEmpty();
            await().until(() -> credit() > 0);
            send(talk.asks());
            Flows.Page first = flows.drops(none.last(), Duration.ofSeconds(30));
            assertThat(first.drops()).singleElement().satisfies(drop -> {
                assertThat(drop.service()).isEqualTo("test/web");
                assertThat(drop.port()).isEqualTo("http");
                assertThat(drop.reason()).isEqualTo("refused");
                assertThat(drop.destinationName()).isEqualTo("node node-1");
                assertThat(drop.sourceName()).isEmpty();
            });

            await().until(() -> credit() == 0);
            send(talk.asks());
            assertThat(flows.drops(first.last(), Duration.ZERO).drops()).isEmpty();
            await().until(() -> credit() > 0);
            send(talk.asks());
            assertThat(flows.drops(first.last(), Duration.ofSeconds(30)).drops())
                    .hasSize(1);
        }
        assertThat(credit()).isZero();
    }

    @ParameterizedTest
    @EnumSource
    void aFlowThroughATunnel_isShownAsTheBackendSeesIt(Net net) {
        Talk talk = new Talk(net, Protocol.TCP);
        node.put(talk.nodePort(new Access(Reach.CLUSTER, Reach.CLUSTER, false, true, true), talk.far()));
        send(talk.asks());
        List<FlowTable.Flow> flows = new ArrayList<>();
        node.installation().flowTable().forEachUntil(flow -> {
            flows.add(flow);
            return false;
        });
        assertThat(flows).singleElement().satisfies(flow -> {
            assertThat(flow.asked().destination()).isEqualTo(net.node);
            assertThat(flow.sent())
                    .isEqualTo(new Ends(
                            net.client,
                            PacketTable.CLIENT_PORT,
                            net.far,
                            PacketTable.BACKEND_PORT,
                            Protocol.TCP.number()));
        });
    }

    @Test
    void flows_areShownOnce_untilSomebodyHasSeenEnough() {
        Talk talk = new Talk(Net.V4, Protocol.TCP);
        int web = node.put(talk.nodePort(PacketTable.HERE, talk.here()));
        for (int port = 40_000; port < 40_020; port++) {
            send(talk.between(Net.V4.client, port, Net.V4.node, PacketTable.NODE_PORT));
        }
        List<FlowTable.Flow> flows = new ArrayList<>();
        FlowTable table = node.installation().flowTable();
        table.forEachUntil(flow -> {
            flows.add(flow);
            return false;
        });
        assertThat(flows)
                .hasSize(20)
                .allMatch(flow -> flow.serviceId() == web
                        && flow.state().equals("opening")
                        && flow.asked().destination().equals(Net.V4.node)
                        && flow.sent().destination().equals(Net.V4.pod)
                        && flow.silentSeconds() < 60)
                .extracting(flow -> flow.asked().sourcePort())
                .doesNotHaveDuplicates();
        flows.clear();
        table.forEachUntil(flow -> {
            flows.add(flow);
            return flows.size() == 3;
        });
        assertThat(flows).hasSize(3);
    }
}
