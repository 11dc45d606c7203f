/** The answers of /healthz, /livez and /readyz. */
@NullMarked
package io.shunt.health;

import org.jspecify.annotations.NullMarked;
