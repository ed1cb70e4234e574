/*
 * What the payload prints goes to the console line by line behind "KILN> ", so that its words are
 * never taken for the kernel's.
 *
 * A line goes through the kernel's log where there is one: a record of it can't be torn by another
 * message, as bytes written to the console can. In the text a '[' that could begin a time stamp
 * becomes '(': a stamp inside such a line is then always the kernel's, which has cut in.
 *
 * Compiled in front of init.c.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

/* Longest piece of a line. The log takes records of 976 bytes and more (LOG_LINE_MAX). */
#define PIECE 800

struct output {
	int from;	/* where the payload's output is read */
	int log;	/* /dev/kmsg, or -1 */
	int console;
	size_t used;
	char text[PIECE];
};

static void write_all(int fd, const char *text, size_t left)
{
	while (left > 0) {
		ssize_t n = write(fd, text, left);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return;
		text += n;
		left -= n;
	}
}

static void sleep_ms(long ms)
{
	struct timespec t = { ms / 1000, (ms % 1000) * 1000000 };

	nanosleep(&t, NULL);
}

/* Passes on the line that has come so far. */
static void pass_line(struct output *o)
{
	static const char level[] = "<4>";
	const size_t skip = sizeof(level) - 1;
	char record[PIECE + 32];
	int n = snprintf(record, sizeof(record), "%sKILN> %.*s\n", level, (int)o->used, o->text);

	o->used = 0;
	/* One write is one record. */
	if (o->log < 0 || write(o->log, record, n) != n)
		write_all(o->console, record + skip, n - skip);
}

static void pass_byte(struct output *o, char byte)
{
	char *before = o->used > 0 ? &o->text[o->used - 1] : NULL;

	if (byte == '\n') {
		pass_line(o);
		return;
	}
	if (byte == '\r')
		return;
	if (byte != '\t' && ((unsigned char)byte < ' ' || byte == 0x7f))
		byte = '?';
	if (before && *before == '[' && (byte == ' ' || (byte >= '0' && byte <= '9')))
		*before = '(';
	o->text[o->used++] = byte;
	if (o->used == sizeof(o->text))
		pass_line(o);
}

/*
 * Passes on what comes within `wait_ms`, one read of it. A line that doesn't go on in that time is
 * passed on as it is: the kernel may be about to die. Takes all of the time when nobody can write
 * any more, and is never held up by a process that keeps the other end open. Says whether
 * anything came.
 */
static int pass_on(struct output *o, int wait_ms)
{
	struct pollfd ready = { .fd = o->from, .events = POLLIN };
	char chunk[4096];
	ssize_t n = 0, i;

	if (o->from >= 0 && poll(&ready, 1, wait_ms) == 0) {
		if (o->used > 0)
			pass_line(o);
		return 0;
	}
	if (o->from >= 0)
		n = read(o->from, chunk, sizeof(chunk));
	for (i = 0; i < n; i++)
		pass_byte(o, chunk[i]);
	if (n <= 0) {
		if (o->used > 0)
			pass_line(o);
		sleep_ms(wait_ms);
	}
	return n > 0;
}
