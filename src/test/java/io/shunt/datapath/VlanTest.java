package io.shunt.datapath;

import static io.shunt.datapath.TwoNodes.portOf;
import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;
import static java.lang.foreign.ValueLayout.JAVA_SHORT;
import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import io.shunt.datapath.NodeFixture.Client;
import io.shunt.datapath.Packet.Tuple;
import io.shunt.datapath.TwoNodes.Between;
import io.shunt.datapath.TwoNodes.Door;
import io.shunt.datapath.TwoNodes.Place;
import io.shunt.libbpf.AttachType;
import io.shunt.libbpf.BpfLink;
import io.shunt.libbpf.BpfObject;
import io.shunt.libbpf.TestObject;
import io.shunt.net.Protocol;
import io.shunt.table.Reach;
import io.shunt.testbed.Closing;
import io.shunt.testbed.Namespace;
import io.shunt.testbed.Peer;
import io.shunt.testbed.Traffic;
import io.shunt.testbed.Traffic.Socket;
import java.io.ByteArrayOutputStream;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.net.InetAddress;
import java.nio.ByteBuffer;
import java.util.HexFormat;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Frames with VLAN tags at the device that carries them: what is in a virtual LAN is seen again, without its tag, by the
 * device of that LAN, so here it is left alone. A witness stands behind the programs, and sees what they have left.
 */
@Tag("kernel")
class VlanTest {
    private static final String DEVICE = "eth0";
    private static final Closing closing = new Closing();
    private static final AtomicInteger ports = new AtomicInteger(20_000);

    private static TwoNodes nodes;
    private static MemorySegment sights;
    private static MemorySegment tag;
    private static byte[] nodeAddress;
    private static byte[] outsideAddress;

    @BeforeAll
    static void start() {
        try {
            nodes = closing.add(new TwoNodes(Between.ROUTES));
            Namespace node = nodes.first().node().namespace();
            nodeAddress = linkAddress(node);
            outsideAddress = linkAddress(nodes.outside().namespace());
            BpfObject object = closing.add(TestObject.loaded("tags"));
            Arena arena = closing.add(Arena.ofShared());
            sights = object.map("sights").mmap(arena);
            tag = object.map("tags").mmap(arena);
            attach(object, "tagger", AttachType.TCX_EGRESS);
            nodes.first().install();
            attach(object, "witness", AttachType.TCX_INGRESS);
            attach(object, "witness", AttachType.TCX_EGRESS);
            for (Client client : TwoNodes.CLIENTS) {
                for (Place place : List.of(Place.NEAR, Place.FAR)) {
                    nodes.first()
                            .put(TwoNodes.service(
                                    client,
                                    portOf(place),
                                    Reach.CLUSTER,
                                    TwoNodes.backends(client, TwoNodes.SERVER, place)));
                }
            }
        } catch (RuntimeException | Error e) {
            closing.close();
            throw e;
        }
    }

    private static void attach(BpfObject object, String program, AttachType type) {
        Namespace node = nodes.first().node().namespace();
        int index = node.index(DEVICE);
        closing.add(node.call(() -> BpfLink.create(object.program(program), index, type)));
    }

    private static byte[] linkAddress(Namespace machine) {
        String[] words = machine.ip("-o", "link", "show", "dev", DEVICE)
                .getLast()
                .split("link/ether ")[1]
                .split(" ");
        return HexFormat.ofDelimiter(":").parseHex(words[0]);
    }

    @AfterAll
    static void stop() {
        closing.close();
    }

    /** The tags of a frame, the outermost first. */
    private enum Tags {
        NONE,
        VLAN(0x8100, 5),
        /** What would be an IPv4 header's beginning, if the tag were not seen. */
        VLAN_LIKE_IP(0x8100, 0x4500),
        PROVIDERS(0x88a8, 5),
        Q_IN_Q(0x88a8, 5, 0x8100, 6),
        OLD_Q_IN_Q(0x8100, 5, 0x8100, 6),
        /** In no virtual LAN, but urgent. */
        PRIORITY(0x8100, 0xe000);

        private final int[] words;

        Tags(int... words) {
            this.words = words;
        }

        byte[] on(byte[] frame) {
            ByteBuffer tagged = ByteBuffer.allocate(frame.length + 2 * words.length);
            tagged.put(frame, 0, 12);
            for (int word : words) {
                tagged.putShort((short) word);
            }
            return tagged.put(frame, 12, frame.length - 12).array();
        }
    }

    private static Packet packet(Client client, String source, Peer to) {
        Tuple tuple = Tuple.of(source, ports.incrementAndGet(), to.address(), to.port(), client.protocol());
        return client.protocol() == Protocol.TCP
                ? Packet.tcp(tuple, Packet.TCP_SYN, 64, "tag!")
                : Packet.udp(tuple, 64, "hello-tag!");
    }

    private static int seen() {
        return sights.get(JAVA_INT, 0);
    }

    /** What the witness saw last, with the tag in its place that the kernel keeps beside a frame. */
    private static byte[] sight() {
        ByteArrayOutputStream frame = new ByteArrayOutputStream();
        byte[] bytes = sights.asSlice(16, sights.get(JAVA_INT, 4)).toArray(JAVA_BYTE);
        frame.write(bytes, 0, 12);
        if (sights.get(JAVA_INT, 8) != 0) {
            frame.writeBytes(ByteBuffer.allocate(4)
                    .putShort(sights.get(JAVA_SHORT, 12))
                    .putShort(sights.get(JAVA_SHORT, 14))
                    .array());
        }
        frame.write(bytes, 12, bytes.length - 12);
        return frame.toByteArray();
    }

    static Stream<Arguments> tagged() {
        return TwoNodes.CLIENTS.stream()
                .flatMap(client -> Stream.of(Tags.VLAN, Tags.VLAN_LIKE_IP, Tags.PROVIDERS, Tags.Q_IN_Q, Tags.OLD_Q_IN_Q)
                        .map(tags -> Arguments.of(client, tags)));
    }

    static Stream<Arguments> untagged() {
        return TwoNodes.CLIENTS.stream()
                .flatMap(client -> Stream.of(Tags.NONE, Tags.PRIORITY)
                        .flatMap(tags ->
                                Stream.of(Place.NEAR, Place.FAR).map(place -> Arguments.of(client, tags, place))));
    }

    private static byte[] fromOutside(Client client, Tags tags, Place place) {
        Packet packet =
                packet(client, client.either("192.168.7.9", "fd07::9"), Door.NODE_PORT.at(client, portOf(place)));
        return tags.on(packet.to(nodeAddress).from(outsideAddress).bytes());
    }

    @ParameterizedTest
    @MethodSource("tagged")
    void whatComesWithATag_isLeftAsItIs(Client client, Tags tags) {
        long connections = nodes.first().connections();
        int before = seen();
        byte[] frame = fromOutside(client, tags, Place.NEAR);
        nodes.outside().traffic().frame(DEVICE, frame);
        await().until(() -> seen() > before);
        assertThat(sight()).isEqualTo(frame);
        assertThat(seen()).isEqualTo(before + 1);
        assertThat(nodes.first().connections()).isEqualTo(connections);
    }

    /** The kernel takes such frames for the device's own. */
    @ParameterizedTest
    @MethodSource("untagged")
    void whatComesInNoVirtualLan_isTranslated(Client client, Tags tags, Place place) {
        long connections = nodes.first().connections();
        int before = seen();
        byte[] frame = fromOutside(client, tags, place);
        nodes.outside().traffic().frame(DEVICE, frame);
        await().untilAsserted(() -> assertThat(nodes.first().connections()).isEqualTo(connections + 1));
        if (place == Place.NEAR) {
            assertThat(seen()).isEqualTo(before);
        } else {
            // It leaves by the device that it came by, as no tag's.
            await().until(() -> seen() > before);
            assertThat(sight()).hasSize(frame.length - 2 * tags.words.length);
            assertThat(HexFormat.of().formatHex(sight())).contains(hex(place.address(client)));
        }
    }

    private static String hex(String address) {
        return HexFormat.of().formatHex(InetAddress.ofLiteral(address).getAddress());
    }

    /** As the device of a virtual LAN gives it to the one below. */
    @ParameterizedTest
    @EnumSource(names = {"UDP4", "UDP6"})
    void whatLeavesWithATag_isLeftAsItIs(Client client) {
        Traffic node = nodes.first().node().traffic();
        // From then on the node knows the link-layer address of the way there.
        assertThat(client.ask(node, new Peer(Place.FAR.address(client), TwoNodes.SERVER)))
                .startsWith(Place.FAR + "@");
        Peer service = Door.CLUSTER_IP.at(client, portOf(Place.FAR));
        long connections = nodes.first().connections();
        int before = seen();
        try (Socket socket = client.socket(node)) {
            tag.set(JAVA_LONG, 0, 5);
            socket.sendTo(service, "hello-tag!");
            await().until(() -> seen() > before);
            assertThat(HexFormat.of().formatHex(sight(), 12, 16)).isEqualTo("81000005");
            assertThat(HexFormat.of().formatHex(sight())).contains(hex(service.address()));
            assertThat(nodes.first().connections()).isEqualTo(connections);

            tag.set(JAVA_LONG, 0, 0);
            socket.sendTo(service, "hello-tag!");
            assertThat(socket.receiveFrom().text()).startsWith(Place.FAR + "@");
            assertThat(nodes.first().connections()).isEqualTo(connections + 1);
            assertThat(HexFormat.of().formatHex(sight())).contains(hex(Place.FAR.address(client)));
        } finally {
            tag.set(JAVA_LONG, 0, 0);
        }
    }

    /** As who writes frames himself sends them: the kernel looks for no tag in what leaves. */
    @ParameterizedTest
    @MethodSource("tagged")
    void whatLeavesWithATagWithin_isLeftAsItIs(Client client, Tags tags) {
        long connections = nodes.first().connections();
        int before = seen();
        Packet packet =
                packet(client, client.either("192.168.7.1", "fd07::1"), Door.CLUSTER_IP.at(client, portOf(Place.FAR)));
        byte[] frame = tags.on(packet.to(outsideAddress).from(nodeAddress).bytes());
        nodes.first().node().traffic().frame(DEVICE, frame);
        await().until(() -> seen() > before);
        assertThat(sight()).isEqualTo(frame);
        assertThat(nodes.first().connections()).isEqualTo(connections);
    }
}
