/** Where Services come from: the Kubernetes API or a directory of manifests. No fabric8 type gets past this package. */
@NullMarked
package io.shunt.source;

import org.jspecify.annotations.NullMarked;
