package io.shunt.testbed;

import io.shunt.net.Protocol;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.io.Writer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.ReentrantLock;

/**
 * The traffic program (src/test/c/traffic.c), running in a cgroup and a network namespace: it makes the system calls it
 * is told to. It has to be started there, because a socket's cgroup is that of the process at the time it is created.
 * One command at a time; other threads wait for their turn. Methods throw {@link CallFailedException} if the system call fails.
 */
public final class Traffic implements AutoCloseable {
    private static final String ENTER = "echo $$ > \"$0/cgroup.procs\" && exec nsenter --net=\"$1\" \"$2\"";

    private final Process process;
    private final Writer commands;
    private final BufferedReader replies;
    /** Fair, or who asks again and again would keep out all others. */
    private final ReentrantLock turn = new ReentrantLock(true);

    private Traffic(Process process) {
        this.process = process;
        this.commands = process.outputWriter();
        this.replies = process.inputReader();
    }

    public static Traffic start(Cgroup cgroup, Namespace namespace) {
        Path program = program();
        try {
            return new Traffic(new ProcessBuilder(
                            "sh",
                            "-c",
                            ENTER,
                            cgroup.path().toString(),
                            namespace.path().toString(),
                            program.toString())
                    .redirectError(ProcessBuilder.Redirect.INHERIT)
                    .start());
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** The program's file, for whoever starts it otherwise. */
    public static Path program() {
        Path program =
                Path.of(System.getProperty("shunt.traffic", "target/traffic")).toAbsolutePath();
        if (!Files.isExecutable(program)) {
            throw new IllegalStateException(program + " is not there: `mvn test-compile` builds it");
        }
        return program;
    }

    /** What a socket is made of. MPTCP falls back to TCP if the other side does not know it. */
    public enum Kind {
        TCP4,
        TCP6,
        UDP4,
        UDP6,
        MPTCP4,
        MPTCP6
    }

    public Socket socket(Kind kind) {
        return new Socket(call("socket " + kind.name().toLowerCase(Locale.ROOT)));
    }

    /**
     * Answers with {@code name} whatever comes to the address until the socket is closed.
     *
     * @param name if it ends in @, the client's address follows
     */
    public Socket serve(Protocol protocol, String address, int port, String name) {
        return new Socket(
                call("serve " + protocol.name().toLowerCase(Locale.ROOT) + " " + address + " " + port + " " + name));
    }

    /** Sends back whatever comes to the address until the socket is closed. */
    public Socket echo(Protocol protocol, String address, int port) {
        return new Socket(call("echo " + protocol.name().toLowerCase(Locale.ROOT) + " " + address + " " + port));
    }

    /** Sends SYNs as fast as it can, each from another of the addresses 100.64.0.0/10 or fd64::/64. */
    public void flood(Peer peer, int count) {
        call("flood " + peer + " " + count);
    }

    /**
     * Joins a new device here and one in another namespace by a wire for IP packets without a link-layer header. Both are
     * down and without addresses, and gone with this program.
     */
    public void tun(String device, Namespace peer, String peerDevice) {
        call("tun " + device + " " + peer.path() + " " + peerDevice);
    }

    /** Sends an Ethernet frame just as it is, of at most 1514 bytes. */
    public void frame(String device, byte[] frame) {
        call("frame " + device + " " + HexFormat.of().formatHex(frame));
    }

    /** Makes one HTTP request and returns the server's name. */
    public String request(String address, int port) {
        return call("request " + address + " " + port);
    }

    /** A number of conversations, shared among the threads. */
    public Load load(Load.Kind kind, String address, int port, int count, int threads) {
        return load(kind, address, port, Integer.toString(count), threads);
    }

    /** As many conversations as go into a time. */
    public Load load(Load.Kind kind, String address, int port, Duration time, int threads) {
        return load(kind, address, port, time.toMillis() / 1e3 + "s", threads);
    }

    private Load load(Load.Kind kind, String address, int port, String amount, int threads) {
        String[] words = call("load " + kind.word() + " " + address + " " + port + " " + amount + " " + threads)
                .split(" ", -1);
        Map<String, Long> outcomes = new HashMap<>();
        Map<String, Long> servers = new HashMap<>();
        for (int i = 1; i < words.length; i++) {
            int equals = words[i].lastIndexOf('=');
            String outcome = words[i].substring(0, equals);
            long count = Long.parseLong(words[i].substring(equals + 1));
            if (outcome.startsWith("name:")) {
                servers.put(outcome.substring("name:".length()), count);
            } else {
                outcomes.put(outcome, count);
            }
        }
        return new Load(Duration.ofNanos((long) (Double.parseDouble(words[0]) * 1e9)), outcomes, servers);
    }

    /** A socket of the program. Closing it early is optional: it ends with the program. */
    public final class Socket implements AutoCloseable {
        private final String id;

        private Socket(String id) {
            this.id = id;
        }

        public void bind(String address, int port) {
            call("bind " + id + " " + address + " " + port);
        }

        /** An IPv4 address makes an AF_INET call, whatever the socket is. */
        public void connect(String address, int port) {
            call("connect " + id + " " + address + " " + port);
        }

        public void connect(Peer peer) {
            connect(peer.address(), peer.port());
        }

        /** Connects to AF_UNSPEC. */
        public void disconnect() {
            call("disconnect " + id);
        }

        public void send(String text) {
            call("send " + id + " " + text);
        }

        public void sendTo(Peer peer, String text) {
            call("sendto " + id + " " + peer + " " + text);
        }

        /** Waits for input; ETIMEDOUT after 10 s. */
        public String receive() {
            return call("recv " + id);
        }

        /** Waits for a datagram; ETIMEDOUT after 10 s. */
        public Datagram receiveFrom() {
            String[] words = call("recvfrom " + id).split(" ", 3);
            return new Datagram(new Peer(words[0], Integer.parseInt(words[1])), words[2]);
        }

        /**
         * Sends so many bytes to an echo that it is connected to, by UDP as one datagram, and has them back.
         *
         * @throws CallFailedException EBADMSG if others came back, ETIMEDOUT if nothing moves for 10 s
         */
        public void transfer(int bytes) {
            call("transfer " + id + " " + bytes);
        }

        /** Lets its packets go so far only, and ICMP errors fail what it receives. */
        public void hops(int count) {
            call("hops " + id + " " + count);
        }

        public Peer peerName() {
            return peer(call("getpeername " + id));
        }

        public Peer name() {
            return peer(call("getsockname " + id));
        }

        @Override
        public void close() {
            call("close " + id);
        }
    }

    private static Peer peer(String words) {
        int space = words.indexOf(' ');
        return new Peer(words.substring(0, space), Integer.parseInt(words.substring(space + 1)));
    }

    /** Sends a command and returns what follows "ok" in its reply. */
    private String call(String command) {
        turn.lock();
        try {
            commands.write(command + "\n");
            commands.flush();
            String reply = replies.readLine();
            if (reply == null) {
                throw new IOException("the traffic program has ended");
            }
            if (reply.startsWith("ok")) {
                return reply.substring(2).strip();
            }
            throw new CallFailedException(command, reply.substring("error ".length()));
        } catch (IOException e) {
            throw new UncheckedIOException(command, e);
        } finally {
            turn.unlock();
        }
    }

    /** The number by which eBPF programs know its network namespace. */
    public long namespaceCookie() {
        return Long.parseLong(call("namespace"));
    }

    /** Its process, which is in the cgroup and the namespace. */
    public long pid() {
        return process.pid();
    }

    /** Ends it, and all of its sockets. */
    @Override
    public void close() {
        process.destroy();
        try {
            if (!process.waitFor(5, TimeUnit.SECONDS)) {
                process.destroyForcibly().waitFor();
            }
        } catch (InterruptedException e) {
            process.destroyForcibly();
            Thread.currentThread().interrupt();
        }
    }
}
