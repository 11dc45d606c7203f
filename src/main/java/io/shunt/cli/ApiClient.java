package io.shunt.cli;

import io.shunt.api.Json;
import io.shunt.config.KubeProxySettings;
import io.shunt.net.HostPort;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.net.HttpURLConnection;
import java.net.InetSocketAddress;
import java.net.Proxy;
import java.net.URI;
import java.util.function.Function;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;
import tools.jackson.core.JacksonException;

/** Asks the daemon's API; the flag that says where it is belongs to it. */
@Command
final class ApiClient {
    private static final int CONNECT_MILLIS = 3_000;
    private static final int READ_MILLIS = 10_000;

    @Spec(Spec.Target.MIXEE)
    @SuppressWarnings("NullAway.Init")
    private CommandSpec command;

    @Option(
            names = "--metrics-address",
            paramLabel = "IP:PORT",
            defaultValue = "127.0.0.1:10249",
            description = "Where the daemon answers: its --metrics-bind-address.")
    @Setting(environment = "SHUNT_METRICS_ADDRESS")
    private String text = "";

    /**
     * Gets a page and reads it as JSON.
     *
     * @throws CommandFailure if nobody answers there, or not as Shunt does
     */
    <T> T get(String path, Function<InputStream, T> read) {
        return get(path, READ_MILLIS, read);
    }

    /** @param silenceMillis how long the daemon may say nothing */
    <T> T get(String path, int silenceMillis, Function<InputStream, T> read) {
        InetSocketAddress address = HostPort.parse(text, KubeProxySettings.METRICS_PORT)
                .orElseThrow(() -> new ParameterException(
                        command.commandLine(),
                        "--metrics-address must be an address and port, as 127.0.0.1:10249 or [::1]:10249, not \""
                                + text + '"'));
        String where = HostPort.format(address);
        try {
            // Plain and without a proxy: java.net.http would double the time that a command takes to start.
            HttpURLConnection connection = (HttpURLConnection)
                    URI.create("http://" + where + path).toURL().openConnection(Proxy.NO_PROXY);
            connection.setConnectTimeout(CONNECT_MILLIS);
            connection.setReadTimeout(silenceMillis);
            int status = connection.getResponseCode();
            if (status != HttpURLConnection.HTTP_OK) {
                throw new CommandFailure(where + " answers " + status + " to " + path
                        + ": is it a shunt daemon of this version? Say where it is with --metrics-address");
            }
            try (InputStream body = connection.getInputStream()) {
                return read.apply(body);
            }
        } catch (JacksonException e) {
            throw new CommandFailure(
                    where + path + " is not what shunt answers (" + e.getOriginalMessage()
                            + "): say where the daemon is with --metrics-address",
                    e);
        } catch (UncheckedIOException e) {
            throw new CommandFailure(
                    where + " has stopped answering (" + e.getMessage() + "): is the daemon still there?", e);
        } catch (IOException e) {
            throw new CommandFailure(
                    "no daemon answers at " + where + " (" + e.getMessage()
                            + "): start `shunt run`, or say where it is with --metrics-address",
                    e);
        }
    }

    <T> T get(String path, Class<T> type) {
        return get(path, body -> Json.MAPPER.readValue(body, type));
    }
}
