/*
 * A library for LD_PRELOAD that stands between user-mode-linux and ptrace(2).
 *
 * Why: user-mode-linux before 6.13 saves and restores the floating-point state
 * of its processes with PTRACE_GETREGSET and PTRACE_SETREGSET of
 * NT_X86_XSTATE, through a buffer of fixed size (about 2.7 kB). On a CPU with
 * AMX the state is about 11 kB, and the kernel refuses to set a shorter one:
 * the guest dies at once with "ptrace set fp regs failed, errno = 14".
 *
 * Here the guest is handed the part of the state that it asked for, and when it
 * sets that part it is laid over the full state, with the AMX components marked
 * as unused (no guest program uses them).
 *
 * It also makes the guest's processes die with the guest
 * (PTRACE_O_EXITKILL), which matters where no PID namespace does that.
 */
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#ifndef PTRACE_O_EXITKILL
#define PTRACE_O_EXITKILL (1 << 20)
#endif
#define OLDSETOPTIONS 21
#define XSTATE_BV_OFFSET 512 /* the XSAVE header follows the legacy area */
#define AMX_COMPONENTS ((1ULL << 17) | (1ULL << 18))

static unsigned char full[64 << 10]; /* user-mode-linux is one thread */

static long raw(long request, pid_t pid, void *addr, void *data)
{
	return syscall(SYS_ptrace, request, pid, addr, data);
}

static long get_xstate(pid_t pid, struct iovec *want)
{
	struct iovec all = { full, sizeof full };
	long r = raw(PTRACE_GETREGSET, pid, (void *)NT_X86_XSTATE, &all);
	if (r < 0)
		return r;
	if (want->iov_len > all.iov_len)
		want->iov_len = all.iov_len;
	memcpy(want->iov_base, full, want->iov_len);
	return r;
}

static long set_xstate(pid_t pid, struct iovec *part)
{
	struct iovec all = { full, sizeof full };
	uint64_t bv;
	long r = raw(PTRACE_GETREGSET, pid, (void *)NT_X86_XSTATE, &all);
	if (r < 0)
		return r;
	memcpy(full, part->iov_base,
	       part->iov_len < all.iov_len ? part->iov_len : all.iov_len);
	if (all.iov_len >= XSTATE_BV_OFFSET + sizeof bv) {
		memcpy(&bv, full + XSTATE_BV_OFFSET, sizeof bv);
		bv &= ~AMX_COMPONENTS;
		memcpy(full + XSTATE_BV_OFFSET, &bv, sizeof bv);
	}
	return raw(PTRACE_SETREGSET, pid, (void *)NT_X86_XSTATE, &all);
}

long ptrace(enum __ptrace_request request, ...)
{
	va_list ap;
	pid_t pid;
	void *addr, *data;
	long r, word;

	va_start(ap, request);
	pid = va_arg(ap, pid_t);
	addr = va_arg(ap, void *);
	data = va_arg(ap, void *);
	va_end(ap);

	switch ((int)request) {
	case PTRACE_PEEKTEXT:
	case PTRACE_PEEKDATA:
	case PTRACE_PEEKUSER:
		/* The system call stores the word; the C library returns it. */
		r = raw(request, pid, addr, &word);
		if (r < 0)
			return r;
		errno = 0;
		return word;
	case PTRACE_GETREGSET:
		if (addr == (void *)NT_X86_XSTATE)
			return get_xstate(pid, data);
		break;
	case PTRACE_SETREGSET:
		if (addr == (void *)NT_X86_XSTATE)
			return set_xstate(pid, data);
		break;
	case OLDSETOPTIONS:
	case PTRACE_SETOPTIONS:
		/* A kernel that refuses the addition gets the plain request. */
		r = raw(PTRACE_SETOPTIONS, pid, addr,
			(void *)((uintptr_t)data | PTRACE_O_EXITKILL));
		if (r == 0)
			return r;
		break;
	}
	return raw(request, pid, addr, data);
}
