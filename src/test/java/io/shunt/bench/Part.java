package io.shunt.bench;

import java.io.IOException;

/** A piece of the benchmark that can be measured alone. It cleans up whatever it made, also when it fails. */
interface Part {
    /** One word, as given to `make bench ONLY=`. */
    String name();

    PartResult run(Settings settings, Progress progress) throws IOException;
}
