package io.shunt.datapath;

import io.shunt.net.Address;
import io.shunt.net.Protocol;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.HexFormat;

/**
 * An Ethernet frame with one IP packet, written and read by plain arithmetic, so that the programs are held against
 * something that shares no code with them.
 *
 * @param bytes from the Ethernet header on; not copied
 */
public record Packet(byte[] bytes) {
    static final int ETHERNET = 14;
    public static final int TCP_SYN = 2;
    static final int TCP_ACK = 16;
    static final int TCP_RST = 4;
    static final int TCP_FIN = 1;

    private static final int IP4 = 20;
    private static final int IP6 = 40;

    /** Who speaks to whom. */
    public record Tuple(Address source, int sourcePort, Address destination, int destinationPort, Protocol protocol) {
        public static Tuple of(
                String source, int sourcePort, String destination, int destinationPort, Protocol protocol) {
            return new Tuple(Address.of(source), sourcePort, Address.of(destination), destinationPort, protocol);
        }

        Tuple turnedRound() {
            return new Tuple(destination, destinationPort, source, sourcePort, protocol);
        }
    }

    /** A TCP segment without options. */
    public static Packet tcp(Tuple tuple, int flags, int ttl, String payload) {
        byte[] data = payload.getBytes(java.nio.charset.StandardCharsets.US_ASCII);
        ByteBuffer segment = ByteBuffer.allocate(20 + data.length);
        segment.putShort((short) tuple.sourcePort).putShort((short) tuple.destinationPort);
        segment.putInt(0x01020304).putInt((flags & TCP_ACK) == 0 ? 0 : 0x0a0b0c0d);
        segment.put((byte) 0x50)
                .put((byte) flags)
                .putShort((short) 0xfaf0)
                .putShort((short) 0)
                .putShort((short) 0);
        segment.put(data);
        return of(tuple, ttl, segment.array(), 16);
    }

    public static Packet udp(Tuple tuple, int ttl, String payload) {
        byte[] data = payload.getBytes(java.nio.charset.StandardCharsets.US_ASCII);
        ByteBuffer datagram = ByteBuffer.allocate(8 + data.length);
        datagram.putShort((short) tuple.sourcePort).putShort((short) tuple.destinationPort);
        datagram.putShort((short) datagram.capacity()).putShort((short) 0).put(data);
        return of(tuple, ttl, datagram.array(), 6);
    }

    private static Packet of(Tuple tuple, int ttl, byte[] transport, int checksumAt) {
        int number = tuple.protocol.number();
        ByteBuffer.wrap(transport).putShort(checksumAt, (short) 0);
        int sum = checksum(pseudo(tuple.source, tuple.destination, number, transport.length), transport);
        // A UDP checksum of zero would say that there is none.
        ByteBuffer.wrap(transport)
                .putShort(checksumAt, (short) (sum == 0 && tuple.protocol == Protocol.UDP ? -1 : sum));
        return ip(tuple.source, tuple.destination, number, ttl, transport);
    }

    static Packet ip(Address source, Address destination, int protocol, int ttl, byte[] payload) {
        boolean v4 = source.isV4();
        ByteBuffer frame = ByteBuffer.allocate(ETHERNET + (v4 ? IP4 : IP6) + payload.length);
        frame.position(12).putShort((short) (v4 ? 0x0800 : 0x86dd));
        if (v4) {
            frame.put((byte) 0x45).put((byte) 0).putShort((short) (IP4 + payload.length));
            frame.putShort((short) 0x1234).putShort((short) 0x4000);
            frame.put((byte) ttl).put((byte) protocol).putShort((short) 0);
            frame.putInt((int) source.low()).putInt((int) destination.low());
            int sum = checksum(Arrays.copyOfRange(frame.array(), ETHERNET, ETHERNET + IP4));
            frame.putShort(ETHERNET + 10, (short) sum);
        } else {
            frame.putInt(0x60000000)
                    .putShort((short) payload.length)
                    .put((byte) protocol)
                    .put((byte) ttl);
            frame.putLong(source.high()).putLong(source.low());
            frame.putLong(destination.high()).putLong(destination.low());
        }
        frame.put(payload);
        return new Packet(frame.array());
    }

    /** What a transport's checksum covers besides its own bytes. */
    static byte[] pseudo(Address source, Address destination, int protocol, int length) {
        ByteBuffer pseudo = ByteBuffer.allocate(40);
        if (source.isV4()) {
            pseudo.putInt((int) source.low()).putInt((int) destination.low());
        } else {
            pseudo.putLong(source.high()).putLong(source.low());
            pseudo.putLong(destination.high()).putLong(destination.low());
        }
        return pseudo.putInt(length).putInt(protocol).array();
    }

    /** The Internet checksum (RFC 1071) of these, one behind the other; all but the last of an even length. */
    static int checksum(byte[]... parts) {
        long sum = 0;
        for (byte[] part : parts) {
            for (int i = 0; i < part.length; i++) {
                sum += (part[i] & 0xffL) << (i % 2 == 0 ? 8 : 0);
            }
        }
        while (sum >>> 16 != 0) {
            sum = (sum & 0xffff) + (sum >>> 16);
        }
        return (int) ~sum & 0xffff;
    }

    /** To the device with this link-layer address, from no one in particular. */
    public Packet to(byte[] linkAddress) {
        byte[] frame = bytes.clone();
        System.arraycopy(linkAddress, 0, frame, 0, 6);
        return new Packet(frame);
    }

    /** From the sender with this link-layer address. */
    Packet from(byte[] linkAddress) {
        byte[] frame = bytes.clone();
        System.arraycopy(linkAddress, 0, frame, 6, 6);
        return new Packet(frame);
    }

    /** On its way from {@link PacketLab}'s sender to its device. */
    Packet framed() {
        return to(PacketLab.DEVICE).from(PacketLab.SENDER);
    }

    /** An ICMP or ICMPv6 message of that type and code, with these four bytes before its body. */
    static Packet icmp(Address source, Address destination, int ttl, int typeAndCode, int rest, byte[] body) {
        byte[] message = ByteBuffer.allocate(8 + body.length)
                .putShort((short) typeAndCode)
                .putShort((short) 0)
                .putInt(rest)
                .put(body)
                .array();
        int protocol = source.isV4() ? 1 : 58;
        int sum = source.isV4()
                ? checksum(message)
                : checksum(pseudo(source, destination, protocol, message.length), message);
        return ip(
                source,
                destination,
                protocol,
                ttl,
                ByteBuffer.wrap(message).putShort(2, (short) sum).array());
    }

    /** Within another, as one node sends it to another: the outer one repeats how urgent it is, not what was congested. */
    Packet within(Address from, Address to) {
        byte[] inner = quoted(bytes.length);
        Packet outer = ip(from, to, isV4() ? 4 : 41, 64, inner);
        return isV4()
                ? outer.with(1, inner[1] & 0xfc).with(4, 0).with(5, 0)
                : outer.with(0, inner[0])
                        .with(1, inner[1] & 0xcf)
                        .with(2, inner[2])
                        .with(3, inner[3]);
    }

    /** Without the link-layer header: its first so many bytes, or all there are. */
    byte[] quoted(int most) {
        return Arrays.copyOfRange(bytes, ETHERNET, Math.min(bytes.length, ETHERNET + most));
    }

    /** Cut short: the link-layer header, and so many bytes of what follows. */
    Packet cut(int length) {
        return new Packet(Arrays.copyOf(bytes, ETHERNET + length));
    }

    /** With one byte changed, so far behind the link-layer header, and the IPv4 header's checksum made to fit. */
    Packet with(int offset, int value) {
        byte[] frame = bytes.clone();
        frame[ETHERNET + offset] = (byte) value;
        if (isV4() && offset < IP4) {
            ByteBuffer.wrap(frame).putShort(ETHERNET + 10, (short) 0);
            int length = Math.clamp((frame[ETHERNET] & 15) * 4, 0, frame.length - ETHERNET);
            int sum = checksum(Arrays.copyOfRange(frame, ETHERNET, ETHERNET + length));
            ByteBuffer.wrap(frame).putShort(ETHERNET + 10, (short) sum);
        }
        return new Packet(frame);
    }

    private ByteBuffer at(int offset) {
        return ByteBuffer.wrap(bytes).position(offset);
    }

    boolean isV4() {
        return at(12).getShort() == 0x0800;
    }

    /** Whether it is UDP that says that it has no checksum. */
    boolean isUnsummedDatagram() {
        return protocol() == 17 && at(transport() + 6).getShort() == 0;
    }

    /** Whether there is as much as the shortest header of its family has. */
    boolean hasWholeHeader() {
        return switch (at(12).getShort()) {
            case 0x0800 -> bytes.length >= ETHERNET + IP4;
            case (short) 0x86dd -> bytes.length >= ETHERNET + IP6;
            default -> true;
        };
    }

    private int transport() {
        return ETHERNET + (isV4() ? IP4 : IP6);
    }

    int protocol() {
        return Byte.toUnsignedInt(bytes[isV4() ? ETHERNET + 9 : ETHERNET + 6]);
    }

    int ttl() {
        return Byte.toUnsignedInt(bytes[isV4() ? ETHERNET + 8 : ETHERNET + 7]);
    }

    Address source() {
        return address(isV4() ? ETHERNET + 12 : ETHERNET + 8);
    }

    Address destination() {
        return address(isV4() ? ETHERNET + 16 : ETHERNET + 24);
    }

    private Address address(int offset) {
        return Address.of(Arrays.copyOfRange(bytes, offset, offset + (isV4() ? 4 : 16)));
    }

    Tuple tuple() {
        ByteBuffer ports = at(transport());
        return new Tuple(
                source(),
                Short.toUnsignedInt(ports.getShort()),
                destination(),
                Short.toUnsignedInt(ports.getShort()),
                Protocol.ofNumber(protocol()).orElseThrow());
    }

    int tcpFlags() {
        return bytes[transport() + 13];
    }

    /** Whether the header's and the transport's checksums fit what stands there. */
    boolean sumsUp() {
        byte[] payload = Arrays.copyOfRange(bytes, transport(), bytes.length);
        byte[] header = Arrays.copyOfRange(bytes, ETHERNET, ETHERNET + IP4);
        byte[] covered =
                isV4() && protocol() == 1 ? new byte[0] : pseudo(source(), destination(), protocol(), payload.length);
        return (!isV4() || checksum(header) == 0) && checksum(covered, payload) == 0;
    }

    @Override
    public String toString() {
        return HexFormat.of().formatHex(bytes);
    }
}
