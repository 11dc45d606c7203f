package io.shunt.cli;

import java.lang.annotation.ElementType;
import java.lang.annotation.Retention;
import java.lang.annotation.RetentionPolicy;
import java.lang.annotation.Target;

/** Where an option's value comes from when its flag is not given. */
@Retention(RetentionPolicy.RUNTIME)
@Target(ElementType.FIELD)
@interface Setting {
    /** The environment variable that is read then; an empty one counts as not set. */
    String environment();

    /** What holds if neither is given, in words, where the option's own default value does not say it. */
    String otherwise() default "";
}
