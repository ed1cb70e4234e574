/*
 * The first process of a Kiln test machine: mounts what the kernel offers, says that the payload
 * starts, runs it for a limited time, says how it ended, and restarts the machine (which ends
 * QEMU). Kernel parameters without a dot reach this program as environment variables, so it
 * works without /proc too. What the payload prints goes the way that output.c tells, which is
 * compiled in front of this file.
 *
 *   kiln_run_ms=N   longest time of the payload in milliseconds
 *
 * In the archive: /payload (a static program), or /payload.sh with /bin/busybox, or neither
 * (then the end is said at once: enough to see that a machine boots).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

/* How long the machine is watched after the payload, for crashes that come a little late. */
#define SETTLE_MS 250
/* How much longer the rest of its output may take. */
#define LAST_WORDS_MS 5000

static int kmsg = -1;

/*
 * Says a line twice. Through the kernel's log, where no other message can land inside it, and
 * on the console itself, which works where the log is missing or not shown.
 */
static void say(const char *line)
{
	char text[256];

	if (kmsg >= 0) {
		snprintf(text, sizeof(text), "<4>%s\n", line);
		write_all(kmsg, text, strlen(text));
	}
	snprintf(text, sizeof(text), "\n%s\n", line);
	write_all(STDOUT_FILENO, text, strlen(text));
	tcdrain(STDOUT_FILENO);
}

static long long now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

static void try_mount(const char *type, const char *where)
{
	mkdir(where, 0755);
	mount(type, where, type, 0, NULL);
}

static void prepare(void)
{
	try_mount("proc", "/proc");
	try_mount("sysfs", "/sys");
	try_mount("devtmpfs", "/dev");
	try_mount("tmpfs", "/tmp");
	try_mount("debugfs", "/sys/kernel/debug");
	try_mount("tracefs", "/sys/kernel/tracing");
	try_mount("devpts", "/dev/pts");
	try_mount("tmpfs", "/dev/shm");
	kmsg = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);
	setenv("PATH", "/bin:/sbin:/usr/bin:/usr/sbin", 1);
	setenv("HOME", "/tmp", 1);
}

/*
 * Becomes the payload, with its output going into `out`; comes back only when that fails, with
 * errno set.
 */
static void become_payload(int out)
{
	int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
	char *program[] = { "/payload", NULL };
	char *script[] = { "/bin/busybox", "sh", "/payload.sh", NULL };

	/* The console itself would be a way around the prefix. */
	if (nothing >= 0)
		dup2(nothing, STDIN_FILENO);
	if (dup2(out, STDOUT_FILENO) < 0 || dup2(out, STDERR_FILENO) < 0)
		return;
	setsid();
	if (chdir("/tmp") != 0 && chdir("/") != 0)
		return;
	if (access("/payload.sh", F_OK) == 0)
		execv(script[0], script);
	else
		execv(program[0], program);
}

/* Runs the payload, passing on its output; writes how it ended into `how`. */
static void run_payload(long limit_ms, struct output *o, char *how, size_t size)
{
	int failed[2], out[2], status = 0, error = 0;
	long long deadline = now_ms() + limit_ms;
	pid_t pid;

	if (pipe2(failed, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0 || (pid = fork()) < 0) {
		snprintf(how, size, "not-started %s", strerror(errno));
		return;
	}
	if (pid == 0) {
		become_payload(out[1]);
		error = errno;
		if (write(failed[1], &error, sizeof(error)) < 0)
			_exit(126);
		_exit(127);
	}
	close(failed[1]);
	close(out[1]);
	o->from = out[0];
	if (read(failed[0], &error, sizeof(error)) == sizeof(error)) {
		snprintf(how, size, "not-started %s", strerror(error));
		return;
	}
	for (;;) {
		/* Orphans come here too; only the payload itself ends the wait. */
		pid_t ended = waitpid(-1, &status, WNOHANG);

		if (ended == pid)
			break;
		if (ended > 0)
			continue;
		if (now_ms() >= deadline) {
			snprintf(how, size, "stopped after %ld ms", limit_ms);
			return;
		}
		pass_on(o, 10);
	}
	if (WIFSIGNALED(status))
		snprintf(how, size, "signal %d", WTERMSIG(status));
	else
		snprintf(how, size, "exit %d", WEXITSTATUS(status));
}

int main(void)
{
	const char *limit = getenv("kiln_run_ms");
	long limit_ms = limit ? atol(limit) : 0;
	struct output output = { .from = -1, .console = STDOUT_FILENO };
	/* Ahead of the payload: what it prints is out before the kernel dies of what it does next. */
	struct sched_param first = { .sched_priority = 1 };
	char how[128], line[192];
	long long settled;

	prepare();
	output.log = kmsg;
	if (limit_ms <= 0)
		limit_ms = 60000;
	if (access("/payload", F_OK) != 0 && access("/payload.sh", F_OK) != 0) {
		say("KILN: payload starts");
		say("KILN: payload ended: none");
	} else {
		say("KILN: payload starts");
		sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &first);
		run_payload(limit_ms, &output, how, sizeof(how));
		kill(-1, SIGKILL);
		/* Nobody writes any more, but a pipe holds a lot for a slow console. */
		settled = now_ms() + SETTLE_MS;
		while ((pass_on(&output, 10) || now_ms() < settled) && now_ms() < settled + LAST_WORDS_MS)
			;
		snprintf(line, sizeof(line), "KILN: payload ended: %s", how);
		say(line);
	}
	reboot(RB_AUTOBOOT);
	for (;;)
		pause();
}
