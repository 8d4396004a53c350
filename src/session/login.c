#include "session/login.h"

#include <string.h>

void login_settle(struct session *session, struct batch *batch)
{
    if (batch->granted == NULL) {
        return;
    }
    identity_release(&session->identity);
    session->identity = batch->granted;
    batch->granted = NULL;
}

void login_wipe(struct session *session, struct buffer *input)
{
    if (!session->has_secret || input->data == NULL) {
        return;
    }
    explicit_bzero(input->data, input->begin);
    explicit_bzero(input->data + input->end, buffer_room(input));
    session->has_secret = login_is_needed(session);
}
