/** Where the program starts. */
@NullMarked
package io.shunt;

import org.jspecify.annotations.NullMarked;
