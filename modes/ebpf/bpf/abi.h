/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* What the kernel gives a BPF program, as far as these programs use it: contexts, helper
 * functions by number, and constants. Numbers and layouts are the kernel's user interface,
 * include/uapi/linux/bpf.h, which does not change. */
#ifndef VIPLAB_ABI_H
#define VIPLAB_ABI_H

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef u16 be16; /* big endian, as in packets */
typedef u32 be32;

#define SEC(name) __attribute__((section(name), used))
#define inline_always inline __attribute__((always_inline))
#define NULL ((void *)0)

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define swap16(x) __builtin_bswap16(x)
#define swap32(x) __builtin_bswap32(x)
#else
#define swap16(x) (x)
#define swap32(x) (x)
#endif

/* How a map is described to the loader. */
#define __uint(name, val) int(*name)[val]
#define __type(name, val) typeof(val) *name

enum { MAP_HASH = 1, MAP_ARRAY = 2, MAP_LRU_HASH = 9, MAP_LPM_TRIE = 11 };
enum { ANY = 0, NOEXIST = 1, NO_PREALLOC = 1 };

/* A packet, for programs on links. */
struct __sk_buff {
	u32 len, pkt_type, mark, queue_mapping, protocol, vlan_present, vlan_tci, vlan_proto, priority;
	u32 ingress_ifindex; /* where it came in, 0 if a socket of this node sent it */
	u32 ifindex;
};

enum { PACKET_HOST = 0 };
enum { NEXT = -1, SHOT = 2 }; /* go on as if we were not here; drop */

/* An address that a socket call names, for programs of control groups. Ports are
 * big endian in the low 16 bits. */
struct bpf_sock_addr {
	u32 user_family, user_ip4, user_ip6[4], user_port, family, type, protocol, msg_src_ip4, msg_src_ip6[4];
};

enum { REFUSE = 0, ALLOW = 1 };
enum { AF_INET = 2, AF_INET6 = 10, ECONNREFUSED = 111, ENOENT = 2 };
enum { ETH_P_IP = 0x0800, ETH_P_IPV6 = 0x86dd, ETH_LEN = 14 };
enum { TCP = 6, UDP = 17, ICMP = 1, ICMP6 = 58 };

/* A question to the routing table, and its answer. */
struct bpf_fib_lookup {
	u8 family, l4_protocol;
	be16 sport, dport;
	u16 tot_len;
	u32 ifindex;
	u32 flowinfo;
	be32 src[4], dst[4]; /* dst becomes the next hop */
	u32 vlan;
	u8 smac[6], dmac[6];
};

enum { LOOPBACK = 1 };                          /* its index, in every network namespace */
enum { FIB_SUCCESS = 0, FIB_NO_NEIGHBOUR = 7 }; /* answers with a route */

struct bpf_redir_neigh {
	u32 nh_family;
	be32 hop[4];
};

enum { REDIRECT_INGRESS = 1 };
enum { ROOM_AT_MAC = 1, ROOM_FIXED_GSO = 1 };
enum { CSUM_PSEUDO = 1 << 4, CSUM_ZERO_IS_NONE = 1 << 5 };

#define HELPER(number, result, name, ...) static result (*const name)(__VA_ARGS__) = (void *)number
HELPER(1, void *, map_lookup, void *map, const void *key);
HELPER(2, long, map_update, void *map, const void *key, const void *value, u64 flags);
HELPER(3, long, map_delete, void *map, const void *key);
HELPER(7, u32, random_u32, void);
HELPER(9, long, skb_store, struct __sk_buff *skb, u32 at, const void *from, u32 len, u64 flags);
HELPER(10, long, l3_csum_replace, struct __sk_buff *skb, u32 at, u64 from, u64 to, u64 size);
HELPER(11, long, l4_csum_replace, struct __sk_buff *skb, u32 at, u64 from, u64 to, u64 flags);
HELPER(23, long, redirect, u32 ifindex, u64 flags);
HELPER(26, long, skb_load, const void *skb, u32 at, void *to, u32 len);
HELPER(28, long, csum_diff, be32 *from, u32 from_size, be32 *to, u32 to_size, u32 seed);
HELPER(38, long, skb_change_tail, struct __sk_buff *skb, u32 len, u64 flags);
HELPER(46, u64, socket_cookie, void *ctx);
HELPER(50, long, skb_adjust_room, struct __sk_buff *skb, int by, u32 mode, u64 flags);
HELPER(69, long, fib_lookup, void *ctx, struct bpf_fib_lookup *params, int len, u32 flags);
HELPER(122, u64, netns_cookie, void *ctx);
HELPER(152, long, redirect_neigh, u32 ifindex, struct bpf_redir_neigh *params, int len, u64 flags);
HELPER(160, u64, coarse_ns, void);
HELPER(187, int, set_retval, int value);

#endif
