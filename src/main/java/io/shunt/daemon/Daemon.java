package io.shunt.daemon;

import io.shunt.api.HttpFaces;
import io.shunt.cluster.Occurrence;
import io.shunt.config.ConfigFile;
import io.shunt.config.ConfigFileWatch;
import io.shunt.host.HostNetwork;
import io.shunt.host.KubeProxyTraces;
import io.shunt.net.HostPort;
import io.shunt.source.Source;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.springframework.boot.Banner;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.WebApplicationType;
import org.springframework.context.ConfigurableApplicationContext;

/** The node daemon. */
public final class Daemon {
    private static final Logger log = LoggerFactory.getLogger(Daemon.class);

    private static final Duration CONFIG_FILE_PERIOD = Duration.ofSeconds(1);
    private static final Path OOM_SCORE_ADJ = Path.of("/proc/self/oom_score_adj");
    /** klog's level from which on each step is told. */
    private static final int VERBOSE = 4;

    private Daemon() {}

    /**
     * Runs until SIGTERM or SIGINT, which end the process with exit code 0 and leave all traffic as it is programmed.
     *
     * @return the process's exit code, if it ended otherwise: always a failure
     * @throws StartupException if it cannot start
     */
    public static int run(RunOptions options) {
        ConfigurableApplicationContext context = open(options);
        tell(options);
        adjustOomScore(options);
        ControlThread control = context.getBean(ControlThread.class);
        CompletableFuture<Integer> exitCode = new CompletableFuture<>();
        control.ended().thenAccept(asTold -> exitCode.complete(asTold ? 0 : 1));
        Runtime.getRuntime().addShutdownHook(new Thread(() -> stop(context, exitCode), "shunt-stop"));
        control.start();
        context.getBean(HostNetwork.class).start();
        Source source = context.getBean(Source.class);
        source.start(context.getBean(Inbox.class));
        source.report(Occurrence.started(options.nodeName()));
        watch(options, exitCode);
        HttpFaces faces = context.getBean(HttpFaces.class);
        log.info(
                "shunt runs: source {}, health at {}, metrics at {}",
                options.source(),
                faces.healthzAddress().map(HostPort::format).orElse("none"),
                faces.metricsAddress().map(HostPort::format).orElse("none"));
        // Not while there is much else to do.
        CompletableFuture.delayedExecutor(
                        5,
                        TimeUnit.SECONDS,
                        look -> Thread.ofPlatform()
                                .daemon()
                                .name("kube-proxy-traces")
                                .start(look))
                .execute(Daemon::tellOfKubeProxy);
        return exitCode.join();
    }

    private static void tell(RunOptions options) {
        if (options.config() != null) {
            log.info("configured by {}", options.config().path());
        }
        if (!options.remark().isEmpty()) {
            log.warn("of the configuration, {}", options.remark());
        }
    }

    /** While one is changed for the other both may be here; a fault it is only if nobody knows. */
    private static void tellOfKubeProxy() {
        List<String> traces = KubeProxyTraces.now();
        if (!traces.isEmpty()) {
            log.warn(
                    "kube-proxy serves on this node, or has left its rules ({}): they translate what Shunt leaves alone, to"
                            + " endpoints that may be gone. Remove kube-proxy, then `shunt cleanup --kube-proxy-rules`"
                            + " (docs/migrate.md)",
                    String.join(", ", traces));
        }
    }

    private static void adjustOomScore(RunOptions options) {
        if (options.oomScoreAdj() != null) {
            try {
                Files.writeString(OOM_SCORE_ADJ, options.oomScoreAdj().toString());
            } catch (IOException e) {
                log.warn("the OOM score stays as it is: {}; to lower it takes CAP_SYS_RESOURCE", e.getMessage());
            }
        }
    }

    /** What a file says counts from the start; whoever starts the daemon starts it again. */
    private static void watch(RunOptions options, CompletableFuture<Integer> exitCode) {
        ConfigFile file = options.config();
        if (file != null) {
            Thread.ofVirtual().name("config-watch").start(new ConfigFileWatch(file, CONFIG_FILE_PERIOD, () -> {
                log.info("{} says something else now: ending, to be started with it", file.path());
                exitCode.complete(1);
            }));
        }
    }

    private static ConfigurableApplicationContext open(RunOptions options) {
        SpringApplication application = new SpringApplication(DaemonConfiguration.class);
        application.setWebApplicationType(WebApplicationType.NONE);
        application.setBannerMode(Banner.Mode.OFF);
        application.setLogStartupInfo(false);
        application.setRegisterShutdownHook(false);
        if (options.verbosity() >= VERBOSE) {
            application.setDefaultProperties(Map.of("logging.level.io.shunt", "debug"));
        }
        application.addInitializers(context -> context.getBeanFactory().registerSingleton("runOptions", options));
        try {
            return application.run();
        } catch (RuntimeException e) {
            throw startupException(e);
        }
    }

    /** What the wiring wrapped. */
    private static RuntimeException startupException(RuntimeException failure) {
        for (Throwable cause = failure; cause != null; cause = cause.getCause()) {
            if (cause instanceof StartupException known) {
                return known;
            }
        }
        return failure;
    }

    /** A signal is how a daemon ends in good order, so its exit code is not the signal's. */
    private static void stop(ConfigurableApplicationContext context, CompletableFuture<Integer> exitCode) {
        int code = exitCode.getNow(0);
        log.info("stopping; traffic goes on as it is programmed");
        context.close();
        Runtime.getRuntime().halt(code);
    }
}
