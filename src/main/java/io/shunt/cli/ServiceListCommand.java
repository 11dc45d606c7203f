package io.shunt.cli;

import io.shunt.api.Json;
import io.shunt.api.ServiceEntry;
import io.shunt.snapshot.ServiceView.BackendView;
import io.shunt.snapshot.ServiceView.FrontendView;
import java.io.PrintWriter;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
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
            "  shunt service list -o json | jq '.[] | select(.backends == [])'"
        })
final class ServiceListCommand implements Callable<Integer> {
    @Spec
    @SuppressWarnings("NullAway.Init")
    private CommandSpec spec;

    enum Format {
        TEXT,
        WIDE,
        JSON
    }

    @Parameters(index = "0", arity = "0..1", paramLabel = "NAME", description = "Only Services of this name.")
    private @Nullable String name;

    @Option(
            names = {"-n", "--namespace"},
            paramLabel = "NAMESPACE",
            description = "Only Services in this namespace.")
    private @Nullable String namespace;

    @Option(
            names = {"-o", "--output"},
            paramLabel = "FORMAT",
            defaultValue = "text",
            description = "`text`; `wide`, with refused attempts and each backend; or `json`, as /api/v1/services.")
    private Format format = Format.TEXT;

    @Mixin
    private ApiClient api = new ApiClient();

    @Override
    public Integer call() {
        List<ServiceEntry> services = api
                .get(
                        "/api/v1/services",
                        body -> Json.MAPPER.readValue(body, new TypeReference<List<ServiceEntry>>() {}))
                .stream()
                .filter(service -> namespace == null || service.namespace().equals(namespace))
                .filter(service -> name == null || service.name().equals(name))
                .toList();
        if (services.isEmpty() && name != null) {
            throw new CommandFailure("no Service " + name + (namespace == null ? "" : " in namespace " + namespace)
                    + " is served here; `shunt service list` shows all");
        }
        PrintWriter out = spec.commandLine().getOut();
        switch (format) {
            case JSON ->
                out.println(Json.MAPPER.writerWithDefaultPrettyPrinter().writeValueAsString(services));
            case TEXT -> print(services, out);
            case WIDE -> printWide(services, out);
        }
        return 0;
    }

    private static void print(List<ServiceEntry> services, PrintWriter out) {
        TextTable table = new TextTable("NAMESPACE", "NAME", "PORT", "FRONTEND", " BACKENDS", " CONNECTIONS");
        for (ServiceEntry service : services) {
            table.row(
                    service.namespace(),
                    service.name(),
                    port(service),
                    service.frontends().stream().map(FrontendView::address).collect(Collectors.joining(",")),
                    service.backends().stream()
                            .filter(backend -> !backend.state().equals("unready"))
                            .count(),
                    service.connections());
        }
        table.print(out);
        printErrors(services, out);
    }

    private static void printWide(List<ServiceEntry> services, PrintWriter out) {
        TextTable table =
                new TextTable("NAMESPACE", "NAME", "PORT", " ID", "FRONTEND", " CONNECTIONS", " REFUSED", "BACKENDS");
        for (ServiceEntry service : services) {
            table.row(
                    service.namespace(),
                    service.name(),
                    port(service),
                    service.serviceId() < 0 ? "-" : service.serviceId(),
                    service.frontends().stream()
                            .map(ServiceListCommand::frontend)
                            .collect(Collectors.joining(",")),
                    service.connections(),
                    service.refused(),
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
