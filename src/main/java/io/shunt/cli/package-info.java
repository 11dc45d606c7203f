/** The shunt commands and their flags. */
@NullMarked
package io.shunt.cli;

import org.jspecify.annotations.NullMarked;
