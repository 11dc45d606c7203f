/** What the control thread tells everyone else: immutable views, safe to read from any thread. */
@NullMarked
package io.shunt.snapshot;

import org.jspecify.annotations.NullMarked;
