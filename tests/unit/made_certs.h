/* Certificates for the tests, made on the spot into a temporary folder. Whatever fails here aborts. */
#ifndef SLUICE_TESTS_MADE_CERTS_H
#define SLUICE_TESTS_MADE_CERTS_H

#include <stdbool.h>

enum { MADE_CERTS_PATH_MAX = 256 };

struct made_cert {
    const char *name;          /* writes NAME.crt and NAME.key; is also the common name */
    const char *san;           /* "DNS:localhost,IP:127.0.0.1"; NULL: none */
    const char *issuer;        /* the name of one made before; NULL: signs itself, and is an authority */
    bool rsa;                  /* else ECDSA */
    bool dsa;                  /* slow to make */
    const char *curve;         /* of ECDSA; NULL: P-256 */
    const char *purpose;       /* extendedKeyUsage: "serverAuth"; NULL: none */
    int from_days, until_days; /* counted from now; both 0: from yesterday for a year */
};

/* A fresh folder below $TMPDIR or /tmp, for made_certs_path. */
void made_certs_begin(void);
void made_certs_end(void); /* removes it and what is in it */

void made_certs_make(const struct made_cert *cert);

/* The path of `file` in the folder: one of eight static arrays, used in turn. */
const char *made_certs_path(const char *file);

/* Writes `text` to `file` of the folder. */
void made_certs_write(const char *file, const char *text);

#endif
