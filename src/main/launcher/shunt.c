/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shunt: runs lib/shunt.jar on the Java runtime laid out beside it. In C, because the image has no shell.
 *
 *   bin/shunt       this, found through /proc/self/exe, so a symbolic link to it works;
 *                   called kube-proxy, it runs `shunt run`, as kube-proxy's manifests want
 *   runtime/        a Java runtime, or a link to one
 *   lib/shunt.jar   with the jars it needs beside it
 *   shunt.aot       the AOT cache; left out while it is being made
 *
 * SHUNT_JAVA_OPTS, split at spaces, follows the flags below and so overrides them.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/*
 * The AOT cache holds only for the flags it was made with: change one, and make it again.
 * A young heap of fixed, small size saves most; the C1 compiler and compact headers follow. What survives one young
 * collection is nearly always the cluster's: to keep it young makes each of the next ones longer. After a full
 * collection, which the daemon asks for when it pays, the heap gives back at once what it does not need.
 */
static const char *const defaults[] = {
	"-XX:+UseSerialGC", "-Xms24m", "-Xmn10m", "-Xmx256m",
	"-XX:MinHeapFreeRatio=10", "-XX:MaxHeapFreeRatio=20", "-XX:-ShrinkHeapInSteps",
	"-XX:MaxTenuringThreshold=1",
	/* What C code needed for a moment, to start or to compile, goes back too: some MB. */
	"-XX:TrimNativeHeapInterval=1000",
	"-XX:TieredStopAtLevel=1",
	"-XX:+UseCompactObjectHeaders",
	"-XX:+ExitOnOutOfMemoryError",
	"-XX:-UsePerfData",
	"--enable-native-access=ALL-UNNAMED",
	/* Standard output belongs to the commands. */
	"-Xlog:disable", "-Xlog:all=warning:stderr",
};

static char home[PATH_MAX];

/* The path of a file under the home folder; kept until exec. */
static char *under_home(const char *prefix, const char *name)
{
	char *path;

	if (asprintf(&path, "%s%s/%s", prefix, home, name) < 0) {
		perror("shunt");
		exit(126);
	}
	return path;
}

static void find_home(void)
{
	ssize_t length = readlink("/proc/self/exe", home, sizeof(home) - 1);

	if (length < 0) {
		perror("shunt: cannot read /proc/self/exe (is /proc mounted?)");
		exit(126);
	}
	home[length] = '\0';
	for (int up = 0; up < 2; up++) { /* off go shunt and bin */
		char *slash = strrchr(home, '/');

		if (slash)
			*slash = '\0';
	}
}

int main(int argc, char **argv)
{
	const size_t ndefaults = sizeof(defaults) / sizeof(defaults[0]);
	const char *env = getenv("SHUNT_JAVA_OPTS");
	char *options = strdup(env ? env : "");
	/* An option and its space are two characters or more; shunt, -XX:AOTCache, -jar, the jar, run and NULL are six. */
	const char **args = options ? calloc(ndefaults + strlen(options) + argc + 6, sizeof(*args)) : NULL;
	char *java, *cache;
	size_t n = 0;
	int error;

	if (!args) {
		perror("shunt");
		return 126;
	}
	find_home();
	java = under_home("", "runtime/bin/java");
	cache = under_home("-XX:AOTCache=", "shunt.aot");

	args[n++] = "shunt";
	for (size_t i = 0; i < ndefaults; i++)
		args[n++] = defaults[i];
	if (access(strchr(cache, '=') + 1, R_OK) == 0)
		args[n++] = cache;
	for (char *option = strtok(options, " "); option; option = strtok(NULL, " "))
		args[n++] = option;
	args[n++] = "-jar";
	args[n++] = under_home("", "lib/shunt.jar");
	if (argc > 0 && strcmp(basename(argv[0]), "kube-proxy") == 0)
		args[n++] = "run";
	for (int i = 1; i < argc; i++)
		args[n++] = argv[i];

	/*
	 * One arena: each keeps for good what one thread once needed, and of any but the first, glibc's malloc_trim
	 * gives back holes alone, not the end. There the kernel's types lay while libbpf loaded the programs: 11 MB.
	 */
	setenv("MALLOC_ARENA_MAX", "1", 0);
	execv(java, (char *const *)args);

	error = errno;
	fprintf(stderr, "shunt: cannot run the Java runtime %s: %s\n"
		"shunt: 'make build' lays one out there; a link to a JDK or JRE 25 does too\n",
		java, strerror(error));
	return error == ENOENT ? 127 : 126;
}
