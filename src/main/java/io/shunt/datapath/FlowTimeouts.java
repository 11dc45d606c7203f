package io.shunt.datapath;

import static java.lang.foreign.ValueLayout.JAVA_INT;

import io.shunt.libbpf.BpfObject;
import java.lang.foreign.MemorySegment;
import java.time.Duration;

/**
 * After how long a silence a flow is forgotten, where that can be said; 0 stands for what netfilter does by itself. The
 * rest is as in net/netfilter/nf_conntrack_proto_{tcp,udp,sctp}.c.
 *
 * @param tcpEstablished of a TCP connection
 * @param tcpHalfClosed of one that one side has closed
 * @param udp of UDP that was not answered, or not spoken on
 * @param udpStream of UDP to and fro
 */
public record FlowTimeouts(Duration tcpEstablished, Duration tcpHalfClosed, Duration udp, Duration udpStream) {
    /** As kube-proxy sets them unless it is told otherwise. */
    public static final FlowTimeouts USUAL =
            new FlowTimeouts(Duration.ofHours(24), Duration.ofHours(1), Duration.ZERO, Duration.ZERO);

    private static final int TCP_SYN_SENT = 120;
    private static final int TCP_SYN_RECEIVED = 60;
    private static final int TCP_ESTABLISHED = 5 * 24 * 3600;
    private static final int TCP_CLOSE_WAIT = 60;
    private static final int TCP_CLOSE = 10;
    private static final int UDP = 30;
    private static final int UDP_STREAM = 120;
    private static final int SCTP_COOKIE = 3;
    private static final int SCTP_ESTABLISHED = 210;
    private static final int SCTP_CLOSED = 10;

    /** Writes them into an object that is not loaded yet. */
    void writeTo(BpfObject object) {
        MemorySegment timeouts = object.map(".rodata.settings").initialValue();
        int halfClosed = seconds(tcpHalfClosed, TCP_CLOSE_WAIT);
        put(
                timeouts,
                "tcp",
                TCP_SYN_SENT,
                TCP_SYN_RECEIVED,
                seconds(tcpEstablished, TCP_ESTABLISHED),
                halfClosed,
                TCP_CLOSE,
                TCP_CLOSE);
        int unanswered = seconds(udp, UDP);
        int stream = seconds(udpStream, UDP_STREAM);
        put(timeouts, "udp", unanswered, unanswered, stream, stream, stream, stream);
        put(timeouts, "sctp", SCTP_COOKIE, SCTP_COOKIE, SCTP_ESTABLISHED, SCTP_ESTABLISHED, SCTP_CLOSED, SCTP_CLOSED);
    }

    /** @param seconds by enum flow_state of types.h */
    private static void put(MemorySegment timeouts, String protocol, int... seconds) {
        MemorySegment.copy(seconds, 0, timeouts, JAVA_INT, Layouts.offset(Layouts.TIMEOUTS, protocol), seconds.length);
    }

    /** Whole ones, at least 1, and no more than the programs can reckon with. */
    private static int seconds(Duration duration, int netfilter) {
        return duration.isZero()
                ? netfilter
                : (int) Math.clamp(duration.plusNanos(999_999_999).toSeconds(), 1, Integer.MAX_VALUE);
    }
}
