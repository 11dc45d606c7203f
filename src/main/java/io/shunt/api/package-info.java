/** The read-only HTTP servers and the JSON they serve. */
@NullMarked
package io.shunt.api;

import org.jspecify.annotations.NullMarked;
