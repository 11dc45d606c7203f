package io.shunt.datapath;

import io.shunt.datapath.Packet.Tuple;
import io.shunt.net.Address;
import io.shunt.net.Protocol;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.zip.CRC32C;

/**
 * A packet of a protocol with ports before it becomes bytes: each part is set on its own, and every checksum is computed
 * from the whole. Each method gives a changed copy.
 */
final class Draft {
    static final int HOP_BY_HOP = 0;
    static final int ROUTING = 43;
    static final int FRAGMENT = 44;
    static final int AUTHENTICATION = 51;
    static final int DESTINATION_OPTIONS = 60;

    static final int SCTP_DATA = 0;
    static final int SCTP_INIT = 1;
    static final int SCTP_INIT_ACK = 2;
    static final int SCTP_ABORT = 6;
    static final int SCTP_SHUTDOWN_COMPLETE = 14;

    private static final int DONT_FRAGMENT = 0x4000;
    private static final int MORE_FRAGMENTS = 0x2000;

    private Tuple tuple;
    private int ttl = 64;
    private int id = 0x1234;
    private boolean dontFragment = true;
    private byte[] options = {};
    private List<Extension> extensions = List.of();
    private int flags = Packet.TCP_SYN;
    private int sequence = 0x01020304;
    private int acknowledgement = 0x0a0b0c0d;
    private int window = 0xfaf0;
    private byte[] tcpOptions = {};
    private int chunk = SCTP_INIT;
    private boolean summed = true;
    private byte[] payload = {};

    /** An IPv6 extension header, of whole units of its kind. */
    private record Extension(int kind, byte[] bytes) {}

    private Draft(Tuple tuple) {
        this.tuple = tuple;
    }

    private Draft(Draft other) {
        tuple = other.tuple;
        ttl = other.ttl;
        id = other.id;
        dontFragment = other.dontFragment;
        options = other.options;
        extensions = other.extensions;
        flags = other.flags;
        sequence = other.sequence;
        acknowledgement = other.acknowledgement;
        window = other.window;
        tcpOptions = other.tcpOptions;
        chunk = other.chunk;
        summed = other.summed;
        payload = other.payload;
    }

    /** One that begins a conversation: a SYN, a datagram, an INIT. */
    static Draft first(Tuple tuple) {
        return tuple.protocol() == Protocol.TCP ? new Draft(tuple) : new Draft(tuple).payload("hello");
    }

    /** One that goes on with a conversation: a segment with ACK, a datagram, DATA. */
    static Draft more(Tuple tuple) {
        return new Draft(tuple).flags(Packet.TCP_ACK).chunk(SCTP_DATA).payload("hello");
    }

    Tuple tuple() {
        return tuple;
    }

    /** The same packet between others, once forwarded. */
    Draft forwarded(Tuple between) {
        return between(between).ttl(ttl - 1);
    }

    Draft between(Tuple between) {
        Draft draft = new Draft(this);
        draft.tuple = between;
        return draft;
    }

    Draft ttl(int hops) {
        Draft draft = new Draft(this);
        draft.ttl = hops;
        return draft;
    }

    Draft id(int number) {
        Draft draft = new Draft(this);
        draft.id = number;
        return draft;
    }

    Draft mayFragment() {
        Draft draft = new Draft(this);
        draft.dontFragment = false;
        return draft;
    }

    /** IPv4 options: so many bytes, of whole words, without meaning. */
    Draft options(int bytes) {
        Draft draft = new Draft(this);
        draft.options = new byte[bytes];
        Arrays.fill(draft.options, (byte) 1);
        return draft;
    }

    /** One more IPv6 extension header, in front of the transport's. */
    Draft extension(int kind, int bytes) {
        byte[] header = new byte[bytes];
        int units = kind == AUTHENTICATION ? bytes / 4 - 2 : kind == FRAGMENT ? 0 : bytes / 8 - 1;
        header[1] = (byte) units;
        Draft draft = new Draft(this);
        draft.extensions = new ArrayList<>(extensions);
        draft.extensions.add(new Extension(kind, header));
        return draft;
    }

    Draft flags(int tcpFlags) {
        Draft draft = new Draft(this);
        draft.flags = tcpFlags;
        return draft;
    }

    Draft sequence(int number) {
        Draft draft = new Draft(this);
        draft.sequence = number;
        return draft;
    }

    /** A reset that acknowledges so much. */
    Draft reset(int acknowledged) {
        Draft draft = new Draft(this);
        draft.flags = Packet.TCP_RST | Packet.TCP_ACK;
        draft.sequence = 0;
        draft.acknowledgement = acknowledged;
        draft.window = 0;
        return draft;
    }

    Draft tcpOptions(int... bytes) {
        Draft draft = new Draft(this);
        draft.tcpOptions = new byte[bytes.length];
        for (int i = 0; i < bytes.length; i++) {
            draft.tcpOptions[i] = (byte) bytes[i];
        }
        return draft;
    }

    Draft chunk(int type) {
        Draft draft = new Draft(this);
        draft.chunk = type;
        return draft;
    }

    /** Without a checksum: in UDP, zero means that there is none, and in SCTP that the device is to fill it in. */
    Draft unsummed() {
        Draft draft = new Draft(this);
        draft.summed = false;
        return draft;
    }

    Draft payload(String text) {
        return payload(text.getBytes(StandardCharsets.US_ASCII));
    }

    Draft payload(byte[] bytes) {
        Draft draft = new Draft(this);
        draft.payload = bytes;
        return draft;
    }

    /** So many bytes of payload, no two like each other nearby. */
    Draft payload(int bytes) {
        byte[] filled = new byte[bytes];
        for (int i = 0; i < bytes; i++) {
            filled[i] = (byte) (i * 7 + 3);
        }
        return payload(filled);
    }

    private byte[] transport() {
        byte[] bytes = switch (tuple.protocol()) {
            case TCP -> segment();
            case UDP -> datagram();
            case SCTP -> chunks();
        };
        ByteBuffer buffer = ByteBuffer.wrap(bytes);
        int number = tuple.protocol().number();
        if (tuple.protocol() == Protocol.SCTP) {
            if (summed) {
                CRC32C crc = new CRC32C();
                crc.update(bytes);
                buffer.order(ByteOrder.LITTLE_ENDIAN).putInt(8, (int) crc.getValue());
            }
        } else if (summed) {
            int sum = Packet.checksum(Packet.pseudo(tuple.source(), tuple.destination(), number, bytes.length), bytes);
            if (tuple.protocol() == Protocol.TCP) {
                buffer.putShort(16, (short) sum);
            } else {
                buffer.putShort(6, (short) (sum == 0 ? -1 : sum));
            }
        }
        return bytes;
    }

    private byte[] segment() {
        ByteBuffer segment = ByteBuffer.allocate(20 + tcpOptions.length + payload.length);
        putPorts(segment);
        segment.putInt(sequence).putInt((flags & Packet.TCP_ACK) == 0 ? 0 : acknowledgement);
        segment.put((byte) ((20 + tcpOptions.length) / 4 << 4)).put((byte) flags);
        segment.putShort((short) window).putInt(0);
        return segment.put(tcpOptions).put(payload).array();
    }

    private byte[] datagram() {
        ByteBuffer datagram = ByteBuffer.allocate(8 + payload.length);
        putPorts(datagram);
        return datagram.putShort((short) datagram.capacity())
                .putShort((short) 0)
                .put(payload)
                .array();
    }

    private byte[] chunks() {
        ByteBuffer packet = ByteBuffer.allocate(16 + (payload.length + 3) / 4 * 4);
        putPorts(packet);
        packet.putInt(chunk == SCTP_INIT ? 0 : 0x0a0b0c0d).putInt(0);
        return packet.put((byte) chunk)
                .put((byte) 0)
                .putShort((short) (4 + payload.length))
                .put(payload)
                .array();
    }

    private void putPorts(ByteBuffer buffer) {
        buffer.putShort((short) tuple.sourcePort()).putShort((short) tuple.destinationPort());
    }

    Packet packet() {
        byte[] transport = transport();
        return tuple.source().isV4()
                ? v4(dontFragment ? DONT_FRAGMENT : 0, transport)
                : v6(extensions, tuple.protocol().number(), transport);
    }

    /** The packet in pieces with so many bytes of payload each, the last with what is left; a multiple of 8. */
    List<Packet> fragments(int size) {
        byte[] transport = transport();
        List<Packet> fragments = new ArrayList<>();
        for (int at = 0; at < transport.length; at += size) {
            boolean more = at + size < transport.length;
            byte[] piece = Arrays.copyOfRange(transport, at, Math.min(at + size, transport.length));
            if (tuple.source().isV4()) {
                fragments.add(v4((more ? MORE_FRAGMENTS : 0) | at / 8, piece));
            } else {
                byte[] header = ByteBuffer.allocate(8)
                        .putShort(2, (short) (at | (more ? 1 : 0)))
                        .putInt(4, id)
                        .array();
                List<Extension> chain = new ArrayList<>(extensions);
                chain.add(new Extension(FRAGMENT, header));
                fragments.add(v6(chain, tuple.protocol().number(), piece));
            }
        }
        return fragments;
    }

    private Packet v4(int fragment, byte[] rest) {
        Address source = tuple.source();
        Address destination = tuple.destination();
        int header = 20 + options.length;
        ByteBuffer frame = ByteBuffer.allocate(Packet.ETHERNET + header + rest.length);
        frame.putShort(12, (short) 0x0800).position(Packet.ETHERNET);
        frame.put((byte) (0x40 | header / 4)).put((byte) 0).putShort((short) (header + rest.length));
        frame.putShort((short) id).putShort((short) fragment);
        frame.put((byte) ttl).put((byte) tuple.protocol().number()).putShort((short) 0);
        frame.putInt((int) source.low()).putInt((int) destination.low()).put(options);
        byte[] summed = Arrays.copyOfRange(frame.array(), Packet.ETHERNET, Packet.ETHERNET + header);
        frame.putShort(Packet.ETHERNET + 10, (short) Packet.checksum(summed));
        return new Packet(frame.put(rest).array());
    }

    private Packet v6(List<Extension> chain, int protocol, byte[] rest) {
        int length = rest.length;
        for (Extension extension : chain) {
            length += extension.bytes.length;
        }
        ByteBuffer frame = ByteBuffer.allocate(Packet.ETHERNET + 40 + length);
        frame.putShort(12, (short) 0x86dd).position(Packet.ETHERNET);
        frame.putInt(0x60012345).putShort((short) length);
        frame.put((byte) (chain.isEmpty() ? protocol : chain.getFirst().kind)).put((byte) ttl);
        frame.putLong(tuple.source().high()).putLong(tuple.source().low());
        frame.putLong(tuple.destination().high()).putLong(tuple.destination().low());
        for (int i = 0; i < chain.size(); i++) {
            byte[] header = chain.get(i).bytes.clone();
            header[0] = (byte) (i + 1 < chain.size() ? chain.get(i + 1).kind : protocol);
            frame.put(header);
        }
        return new Packet(frame.put(rest).array());
    }

    @Override
    public String toString() {
        return tuple.toString();
    }
}
