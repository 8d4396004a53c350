/* The other side of the wire: requests to a memcached, appended to a buffer as the bytes to send. client_reply.h reads what
 * comes back. Pure; any thread.
 *
 * A server has the meta commands (memcached 1.6 and newer) or only the classic ones; VERSION tells which. Meta names any key, in
 * base64 where it has to. Classic names those that hold no blank and no control character, and nobody else can be asked
 * about. */
#ifndef DIGLOT_WIRE_CLIENT_REQUEST_H
#define DIGLOT_WIRE_CLIENT_REQUEST_H

#include "base/buffer.h"

#include <stdint.h>

enum client_dialect {
    CLIENT_CLASSIC,
    CLIENT_META,
};

/* True when the key can be written as it is. */
bool client_key_is_plain(struct span key);

/* True when the key can be named in this dialect: neither empty nor longer than 250 bytes as it is written. */
bool client_can_name(enum client_dialect dialect, struct span key);

/* ---- Meta. `flags` are the letters and tokens behind the key, as "v f t", with neither `b` (which is added where the key needs
 * it) nor blanks at their ends; empty: none. ---- */

void client_put_mg(struct buffer *output, struct span key, struct span flags);
void client_put_md(struct buffer *output, struct span key, struct span flags);
void client_put_ma(struct buffer *output, struct span key, struct span flags);
/* `client_flags`: the item's. `exptime` as classic's: 0 never, up to 30 days relative, else a unix time, in seconds. */
void client_put_ms(struct buffer *output, struct span key, uint32_t client_flags, int64_t exptime, struct span flags,
                   struct span value);
/* Answered with MN when everything before it has been answered. */
void client_put_mn(struct buffer *output);

/* ---- Classic ---- */

void client_put_get(struct buffer *output, struct span key);
void client_put_gets(struct buffer *output, struct span key);
/* `command`: set, add, replace, append, prepend. */
void client_put_store(struct buffer *output, struct span command, struct span key, uint32_t client_flags, int64_t exptime,
                      struct span value);
void client_put_cas(struct buffer *output, struct span key, uint32_t client_flags, int64_t exptime, uint64_t token,
                    struct span value);
void client_put_delete(struct buffer *output, struct span key);
/* gat with the token; memcached 1.5.3 and newer. */
void client_put_gats(struct buffer *output, struct span key, int64_t exptime);
void client_put_touch(struct buffer *output, struct span key, int64_t exptime);
/* `command`: incr or decr. */
void client_put_count(struct buffer *output, struct span command, struct span key, uint64_t delta);

/* ---- Both ---- */

void client_put_version(struct buffer *output);
/* Logs in where the server's file of users asks for it; answered with STORED or an error. */
void client_put_login(struct buffer *output, struct span user, struct span password);

#endif
