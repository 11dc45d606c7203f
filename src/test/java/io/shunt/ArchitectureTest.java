package io.shunt;

import static com.tngtech.archunit.base.DescribedPredicate.describe;
import static com.tngtech.archunit.core.domain.JavaClass.Predicates.resideInAPackage;
import static com.tngtech.archunit.core.domain.JavaClass.Predicates.resideInAnyPackage;
import static com.tngtech.archunit.lang.conditions.ArchConditions.be;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.classes;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;
import static com.tngtech.archunit.library.dependencies.SlicesRuleDefinition.slices;
import static java.util.stream.Collectors.joining;

import com.tngtech.archunit.base.DescribedPredicate;
import com.tngtech.archunit.core.domain.JavaClass;
import com.tngtech.archunit.core.domain.JavaClasses;
import com.tngtech.archunit.core.importer.ImportOption;
import com.tngtech.archunit.junit.AnalyzeClasses;
import com.tngtech.archunit.junit.ArchTest;
import com.tngtech.archunit.lang.ArchRule;
import java.util.List;
import java.util.Map;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.jspecify.annotations.NullMarked;

/** The arrows between the packages, one way each, and which library is met where. */
@AnalyzeClasses(packages = "io.shunt", importOptions = ImportOption.DoNotIncludeTests.class)
class ArchitectureTest {

    /** Which packages of Shunt each package knows. What is not here, it does not know. */
    private static final Map<String, List<String>> KNOWS = Map.ofEntries(
            Map.entry("net", List.of()),
            Map.entry("config", List.of("net")),
            Map.entry("cluster", List.of("net")),
            Map.entry("table", List.of("net")),
            Map.entry("plan", List.of("cluster", "table", "net")),
            Map.entry("source", List.of("cluster", "net")),
            Map.entry("host", List.of("cluster", "libbpf", "net")),
            Map.entry("libbpf", List.of()),
            Map.entry("datapath", List.of("table", "libbpf", "net")),
            Map.entry("snapshot", List.of("net", "cluster", "table")),
            Map.entry("flow", List.of("cluster", "datapath", "libbpf", "net")),
            Map.entry("health", List.of("snapshot", "net")),
            Map.entry("metrics", List.of("snapshot", "net")),
            Map.entry("api", List.of("snapshot", "flow", "health", "metrics", "net")),
            Map.entry(
                    "cli",
                    List.of(
                            "daemon",
                            "config",
                            "cluster",
                            "snapshot",
                            "flow",
                            "api",
                            "datapath",
                            "libbpf",
                            "table",
                            "net")),
            Map.entry(
                    "daemon",
                    List.of(
                            "config",
                            "source",
                            "host",
                            "cluster",
                            "plan",
                            "table",
                            "datapath",
                            "libbpf",
                            "snapshot",
                            "flow",
                            "health",
                            "metrics",
                            "api",
                            "net")));

    /** Words of the cluster that the kernel's side has no use for. */
    private static final Pattern KUBERNETES_WORD = Pattern.compile(
            "(?i)kube|cluster_?ip|node_?port|load_?balancer|endpoint_?slice|(?-i:Pod|pod(?![a-z])|POD)");

    @ArchTest
    static void eachPackage_knowsOnlyWhatItsArrowsPointAt(JavaClasses classes) {
        KNOWS.forEach((name, known) -> {
            String[] allowed = Stream.concat(Stream.of(name), known.stream())
                    .map(ArchitectureTest::inPackage)
                    .toArray(String[]::new);
            noClasses()
                    .that(resideInAPackage(inPackage(name)))
                    .should()
                    .dependOnClassesThat(resideInAPackage("io.shunt..")
                            .and(DescribedPredicate.not(resideInAnyPackage(allowed)))
                            .as("are Shunt's, outside " + String.join(", ", allowed)))
                    .check(classes);
        });
    }

    @ArchTest
    static final ArchRule EVERY_PACKAGE_HAS_ITS_ARROWS = classes()
            .should(be(resideInAnyPackage(
                    Stream.concat(Stream.of("io.shunt"), KNOWS.keySet().stream().map(ArchitectureTest::inPackage))
                            .toArray(String[]::new))))
            .as("every package has its arrows: "
                    + KNOWS.keySet().stream().sorted().collect(joining(", ")));

    @ArchTest
    static final ArchRule NO_CYCLES =
            slices().matching("io.shunt.(*)..").should().beFreeOfCycles();

    @ArchTest
    static final ArchRule FABRIC8_STAYS_IN_SOURCE = onlyIn("io.fabric8..", "io.shunt.source..");

    @ArchTest
    static final ArchRule FOREIGN_MEMORY_STAYS_IN_LIBBPF_AND_DATAPATH =
            onlyIn("java.lang.foreign..", "io.shunt.libbpf..", "io.shunt.datapath..");

    @ArchTest
    static final ArchRule MICROMETER_STAYS_IN_METRICS =
            onlyIn("io.micrometer..", "io.shunt.metrics..", "io.shunt.daemon..");

    @ArchTest
    static final ArchRule CAFFEINE_STAYS_IN_FLOW = onlyIn("com.github.benmanes.caffeine..", "io.shunt.flow..");

    @ArchTest
    static final ArchRule SPRING_STAYS_IN_DAEMON = onlyIn("org.springframework..", "io.shunt.daemon..", "io.shunt");

    @ArchTest
    static final ArchRule PICOCLI_STAYS_IN_CLI = onlyIn("picocli..", "io.shunt.cli..", "io.shunt.daemon..", "io.shunt");

    @ArchTest
    static final ArchRule THE_KERNELS_SIDE_HAS_NO_KUBERNETES_WORD = noClasses()
            .that()
            .resideInAnyPackage("io.shunt.table..", "io.shunt.datapath..", "io.shunt.libbpf..")
            .should(be(describe(
                    "named, or have a member named, by " + KUBERNETES_WORD, ArchitectureTest::hasKubernetesWord)));

    @ArchTest
    static final ArchRule NAMES_SAY_WHAT_A_CLASS_IS =
            noClasses().should().haveNameMatching(".*(Manager|Helper|Utils?|Impl)(\\$.*)?");

    @ArchTest
    static final ArchRule NULLNESS_IS_CHECKED_EVERYWHERE = classes()
            .should(be(describe(
                    "in a package marked @NullMarked", type -> type.getPackage().isAnnotatedWith(NullMarked.class))));

    private static String inPackage(String name) {
        return "io.shunt." + name + "..";
    }

    private static ArchRule onlyIn(String library, String... packages) {
        return noClasses()
                .that(DescribedPredicate.not(resideInAnyPackage(packages)))
                .should()
                .dependOnClassesThat()
                .resideInAPackage(library);
    }

    private static boolean hasKubernetesWord(JavaClass type) {
        return Stream.concat(
                        Stream.of(type.getSimpleName()),
                        type.getMembers().stream().map(member -> member.getName()))
                .anyMatch(name -> KUBERNETES_WORD.matcher(name).find());
    }
}
