package io.shunt.daemon;

import io.shunt.api.HostPort;
import io.shunt.api.HttpFaces;
import io.shunt.source.Source;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.springframework.boot.Banner;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.WebApplicationType;
import org.springframework.context.ConfigurableApplicationContext;

/** The node daemon. */
public final class Daemon {
    private static final Logger log = LoggerFactory.getLogger(Daemon.class);

    private Daemon() {}

    /**
     * Runs until SIGTERM or SIGINT, which end the process with exit code 0 and leave all traffic as it is programmed.
     *
     * @return the process's exit code, if it ended otherwise: always a failure
     * @throws StartupException if it cannot start
     */
    public static int run(RunOptions options) {
        ConfigurableApplicationContext context = open(options);
        ControlThread control = context.getBean(ControlThread.class);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> stop(context, control), "shunt-stop"));
        control.start();
        context.getBean(Source.class).start(context.getBean(Inbox.class));
        HttpFaces faces = context.getBean(HttpFaces.class);
        log.info(
                "shunt runs: source {}, health at {}, metrics at {}",
                options.source(),
                HostPort.format(faces.healthzAddress()),
                HostPort.format(faces.metricsAddress()));
        return control.ended().join() ? 0 : 1;
    }

    private static ConfigurableApplicationContext open(RunOptions options) {
        SpringApplication application = new SpringApplication(DaemonConfiguration.class);
        application.setWebApplicationType(WebApplicationType.NONE);
        application.setBannerMode(Banner.Mode.OFF);
        application.setLogStartupInfo(false);
        application.setRegisterShutdownHook(false);
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
    private static void stop(ConfigurableApplicationContext context, ControlThread control) {
        boolean failed = !control.ended().getNow(true);
        log.info("stopping; traffic goes on as it is programmed");
        context.close();
        Runtime.getRuntime().halt(failed ? 1 : 0);
    }
}
