/** The running daemon: its control loop and how its parts are put together. */
@NullMarked
package io.shunt.daemon;

import org.jspecify.annotations.NullMarked;
