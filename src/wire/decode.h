/* What the decoders of all protocols have in common. */
#ifndef DIGLOT_WIRE_DECODE_H
#define DIGLOT_WIRE_DECODE_H

#include "wire/message.h"

struct decode_limits {
    size_t max_item_size; /* bytes, counted as memcached counts an item (wire/size.h) */
    bool has_login;       /* clients may log in. Without, binary's SASL commands are unknown ones */
};

enum decode_status {
    DECODE_PARTIAL, /* more bytes are needed; nothing was consumed */
    DECODE_REQUEST, /* `consumed` bytes made one request */
    DECODE_CLOSE,   /* the peer must be dropped without an answer */
};

struct decoded {
    struct request request;
    struct extras *extras; /* room for the request's extras, the caller's; request.extras points to it where it has some */
    size_t consumed;       /* bytes of the input that this request took */
    /* DECODE_PARTIAL alone, if the caller has set it to 0 before: how many bytes the input must have for the request to be whole,
     * where that is known. */
    size_t needed;
    size_t swallow;        /* bytes behind them that the session must skip, now or when they come */
    /* get, gets, gat, gats: all keys, as they stood in the line, with no space behind the last; every one is checked.
     * request.key is set, and ends_reply, where there is but one. Walk several with ascii_next_key; the session sets ends_reply
     * of the last. */
    struct span keys;
    bool is_too_large;        /* a value was refused for its size, and nothing is left to be executed */
    bool closes;              /* the connection is closed behind the reply */
    bool is_before_login;     /* answered to clients that have not authenticated, too */
};

#endif
