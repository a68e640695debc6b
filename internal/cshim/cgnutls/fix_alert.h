/* Mends: GnuTLS takes every alert of TLS 1.3 but close_notify for a fatal one, also user_canceled,
 * which means nothing and which Java sends before each close_notify. So a record that may be one
 * is decrypted here first, and left out if it is.
 *
 * In: all versions. Until: none yet. Test: TestUserCanceled. */
#ifndef CSHIM_FIX_ALERT_H
#define CSHIM_FIX_ALERT_H

#include "base.h"

/* How many such alerts may come in a row. */
#define CSHIM_MAX_WARNINGS 16

/* How many bytes of record, of which the header is there, must be seen before
 * GnuTLS does: those of the header, or all. */
size_t cshim_fix_alert_suspect(const cshim_session *s, const uint8_t *record);

/* Whether the record, which is as long as cshim_fix_alert_suspect said, is to be
 * left out. GnuTLS then expects the next. */
bool cshim_fix_alert_ignore(cshim_session *s, const uint8_t *record, size_t size);

#endif
