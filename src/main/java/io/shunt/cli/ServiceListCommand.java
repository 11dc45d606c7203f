package io.shunt.cli;

import io.shunt.api.Json;
import io.shunt.api.ServiceEntry;
import io.shunt.net.Address;
import io.shunt.net.HostPort;
import io.shunt.snapshot.ServiceView.BackendView;
import io.shunt.snapshot.ServiceView.FrontendView;
import java.io.PrintWriter;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.function.Predicate;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;
import tools.jackson.core.type.TypeReference;

@Command(
        name = "list",
        description = "Lists every Service port with its addresses, backends, and the connections that the kernel has"
                + " counted.",
        sortOptions = false,
        optionListHeading = "%nOptions:%n",
        parameterListHeading = "%nParameters:%n",
        exitCodeListHeading = "%nExit codes:%n",
        exitCodeList = {"0:listed", "1:no daemon answers, or there is no Service of that name", "2:asked wrongly"},
        footerHeading = "%nExamples:%n",
        footer = {
            "  shunt service list                      all of them",
            "  shunt service list -n shop web -o wide  one of them, with each backend",
            "  shunt service list 'shop/web-*'         those whose names begin so",
            "  shunt service list -a 10.96.0.10        whose address is this?",
            "  shunt service list -o json | jq '.[] | select(.backends == [])'"
        })
final class ServiceListCommand implements Callable<Integer> {
    private static final int FRONTENDS_SHOWN = 3;

    @Spec
    @SuppressWarnings("NullAway.Init")
    private CommandSpec spec;

    @Parameters(
            index = "0",
            arity = "0..1",
            paramLabel = "NAME",
            description = "Only Services of this name, as `web` or `shop/web`. An asterisk stands for anything.")
    private @Nullable String name;

    @Option(
            names = {"-n", "--namespace"},
            paramLabel = "NAMESPACE",
            description = "Only Services in this namespace.")
    private @Nullable String namespace;

    @Option(
            names = {"-a", "--address"},
            paramLabel = "IP[:PORT]",
            description = "Only Service ports that are reached at this address, or have a backend there, as 10.96.0.10,"
                    + " 10.96.0.10:53 or [fd00::10]:53. Node ports are those at 0.0.0.0 and [::].")
    private @Nullable String address;

    @Option(
            names = {"-o", "--output"},
            paramLabel = "FORMAT",
            defaultValue = "table",
            description =
                    "`table`; `wide`, with refused attempts, the algorithm, each address and each backend; `json` or"
                            + " `yaml`, as /api/v1/services.")
    private OutputFormat format = OutputFormat.TABLE;

    @Mixin
    private ApiClient api = new ApiClient();

    @Override
    public Integer call() {
        Predicate<ServiceEntry> asked = asked();
        List<ServiceEntry> services = api
                .get(
                        "/api/v1/services",
                        body -> Json.MAPPER.readValue(body, new TypeReference<List<ServiceEntry>>() {}))
                .stream()
                .filter(asked)
                .toList();
        if (services.isEmpty() && (name != null || address != null)) {
            throw new CommandFailure("no Service" + (name == null ? "" : " " + name)
                    + (namespace == null ? "" : " in namespace " + namespace)
                    + (address == null ? "" : " with address " + address)
                    + " is served here; `shunt service list` shows all");
        }
        PrintWriter out = spec.commandLine().getOut();
        switch (format) {
            case TABLE -> print(services, out);
            case WIDE -> printWide(services, out);
            case JSON, YAML -> format.write(services, out);
        }
        return 0;
    }

    private Predicate<ServiceEntry> asked() {
        Predicate<ServiceEntry> asked =
                service -> namespace == null || service.namespace().equals(namespace);
        if (name != null) {
            // Beside an asterisk, a name has nothing that a pattern reads otherwise but its dots.
            Predicate<String> pattern = Pattern.compile(Pattern.quote(name).replace("*", "\\E.*\\Q"))
                    .asMatchPredicate();
            boolean qualified = name.indexOf('/') >= 0;
            asked = asked.and(
                    service -> pattern.test(qualified ? service.namespace() + "/" + service.name() : service.name()));
        }
        return address == null ? asked : asked.and(at(address));
    }

    /** Who has an address, alone or with a port. */
    private Predicate<ServiceEntry> at(String text) {
        Optional<Address> alone = Address.parse(text);
        String host = alone.map(it -> it.isV4() ? it.toString() : "[" + it + "]")
                .orElseGet(() -> HostPort.parse(text, 0)
                        .map(HostPort::format)
                        .orElseThrow(() -> new ParameterException(
                                spec.commandLine(),
                                "--address must be an address, with a port or without, as 10.96.0.10, 10.96.0.10:53 or"
                                        + " [fd00::10]:53, not \"" + text + '"')));
        Predicate<String> same = other ->
                other.equals(host) || other.startsWith(host + "/") || alone.isPresent() && other.startsWith(host + ":");
        return service ->
                service.frontends().stream().map(FrontendView::address).anyMatch(same)
                        || service.backends().stream().map(BackendView::address).anyMatch(same);
    }

    private static void print(List<ServiceEntry> services, PrintWriter out) {
        TextTable table = new TextTable("NAMESPACE", "NAME", "PORT", "FRONTEND", " BACKENDS", " CONNECTIONS");
        for (ServiceEntry service : services) {
            table.row(
                    service.namespace(),
                    service.name(),
                    port(service),
                    frontends(service),
                    service.backends().stream()
                            .filter(backend -> !backend.state().equals("unready"))
                            .count(),
                    service.connections());
        }
        table.print(out);
        printErrors(services, out);
    }

    /** A few of them, so that one Service with many does not make every line long. */
    private static String frontends(ServiceEntry service) {
        List<FrontendView> all = service.frontends();
        return all.stream().limit(FRONTENDS_SHOWN).map(FrontendView::address).collect(Collectors.joining(","))
                + (all.size() > FRONTENDS_SHOWN ? " and " + (all.size() - FRONTENDS_SHOWN) + " more" : "");
    }

    private static void printWide(List<ServiceEntry> services, PrintWriter out) {
        TextTable table = new TextTable(
                "NAMESPACE", "NAME", "PORT", " ID", " CONNECTIONS", " REFUSED", "ALGORITHM", "FRONTEND", "BACKENDS");
        for (ServiceEntry service : services) {
            table.row(
                    service.namespace(),
                    service.name(),
                    port(service),
                    service.serviceId() < 0 ? "-" : service.serviceId(),
                    service.connections(),
                    service.refused(),
                    service.algorithm(),
                    service.frontends().stream()
                            .map(ServiceListCommand::frontend)
                            .collect(Collectors.joining(",")),
                    service.backends().isEmpty()
                            ? "none"
                            : service.backends().stream()
                                    .map(ServiceListCommand::backend)
                                    .collect(Collectors.joining(",")));
        }
        table.print(out);
        printErrors(services, out);
    }

    private static void printErrors(List<ServiceEntry> services, PrintWriter out) {
        for (ServiceEntry service : services) {
            if (!service.error().isEmpty()) {
                out.println("! " + service.namespace() + "/" + service.name() + " " + port(service) + " ("
                        + service.family() + ") is not as it should be: " + service.error());
            }
        }
    }

    private static String port(ServiceEntry service) {
        return service.port().isEmpty() ? "-" : service.port();
    }

    /** Most let everyone go anywhere, so only the rest is said. */
    private static String frontend(FrontendView frontend) {
        List<String> said = new ArrayList<>();
        if (frontend.inside().equals("local")) {
            said.add("inside:local");
        }
        if (frontend.outside().equals("local")) {
            said.add("outside:local");
        }
        if (frontend.restricted()) {
            said.add("restricted");
        }
        return frontend.address() + (said.isEmpty() ? "" : "(" + String.join(",", said) + ")");
    }

    /** Most get what comes from anywhere, so only the rest is said. */
    private static String backend(BackendView backend) {
        return switch (backend.state()) {
            case "cluster", "both" -> backend.address();
            default -> backend.address() + "(" + backend.state() + ")";
        };
    }
}
