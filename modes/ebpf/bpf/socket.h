/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Sockets: what a process of the node dials becomes an endpoint before there is any
 * packet, and what it is told of its peer becomes the VIP again. */
#ifndef VIPLAB_SOCKET_H
#define VIPLAB_SOCKET_H

#include "choose.h"

#ifdef IPV6
static inline_always struct addr dials(const struct bpf_sock_addr *ctx)
{
	struct addr a = { { ctx->user_ip6[0], ctx->user_ip6[1], ctx->user_ip6[2], ctx->user_ip6[3] } };

	return a;
}

static inline_always void lead(struct bpf_sock_addr *ctx, const struct addr *a)
{
	ctx->user_ip6[0] = a->word[0];
	ctx->user_ip6[1] = a->word[1];
	ctx->user_ip6[2] = a->word[2];
	ctx->user_ip6[3] = a->word[3];
}
#else
static inline_always struct addr dials(const struct bpf_sock_addr *ctx)
{
	struct addr a = { { ctx->user_ip4 } };

	return a;
}

static inline_always void lead(struct bpf_sock_addr *ctx, const struct addr *a)
{
	ctx->user_ip4 = a->word[0];
}
#endif

/* Leads a call that names an address to an endpoint, if the address is a Service's. What
 * depends on the sender's address or gets no answer is left to the links. Datagrams of one
 * socket keep to one endpoint, as a flow's do on the links. */
static inline_always int to_endpoint(struct bpf_sock_addr *ctx, int datagram)
{
	struct addr nobody = {}, vip = dials(ctx);
	struct front front = { .addr = vip, .port = ctx->user_port, .proto = ctx->protocol };
	struct peer peer = {};
	struct dialled dialled = { .addr = vip, .port = ctx->user_port };
	struct service *svc;
	struct backend *b;
	u32 number, id;

	if (netns_cookie(ctx) != node_netns)
		return ALLOW;
	svc = find(&front, 1);
	if (!svc || (svc->flags & SOURCES))
		return ALLOW;
	if (!svc->count) {
		if (svc->flags & SILENT)
			return ALLOW;
		set_retval(-ECONNREFUSED);
		return REFUSE;
	}
	peer.socket = socket_cookie(ctx);
	number = random_u32();
	if (datagram || by_maglev)
		number = mix(mix(peer.socket) ^ peer.socket >> 32);
	b = choose(&front, svc, &nobody, number, &id);
	if (!b)
		return REFUSE;
	peer.addr = b->addr;
	peer.port = b->port;
	map_update(&peers, &peer, &dialled, ANY);
	lead(ctx, &peer.addr);
	ctx->user_port = peer.port;
	return ALLOW;
}

/* Tells a process the address that it had dialled. */
static inline_always int from_endpoint(struct bpf_sock_addr *ctx)
{
	struct peer peer = { .socket = socket_cookie(ctx), .addr = dials(ctx), .port = ctx->user_port };
	struct dialled *d;

	if (netns_cookie(ctx) != node_netns)
		return ALLOW;
	d = map_lookup(&peers, &peer);
	if (d) {
		lead(ctx, &d->addr);
		ctx->user_port = d->port;
	}
	return ALLOW;
}

#define CALL(hook, family, body) \
	SEC("cgroup/" #hook #family) int hook(struct bpf_sock_addr *ctx) { return body; }
#define CALLS(family) \
	CALL(connect, family, to_endpoint(ctx, 0)) \
	CALL(sendmsg, family, to_endpoint(ctx, 1)) \
	CALL(recvmsg, family, from_endpoint(ctx)) \
	CALL(getpeername, family, from_endpoint(ctx))

#ifdef IPV6
CALLS(6)
#else
CALLS(4)
#endif

#endif
