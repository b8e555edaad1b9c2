#!/bin/sh
# OpenSSL → include/openssl/, lib/{libcrypto,libssl}.a. Certificates and configuration are looked for in /etc/pki/tls.
# In: a release tarball, or a crate's copy (which has no tests, no documentation and no openssl.cnf).
set -eu

out=/imgbuild/out
mkdir -p $out/lib $out/licenses
cp LICENSE.txt $out/licenses/openssl
case $TARGET in
x86_64-*) platform=linux-x86_64 ;;
aarch64-*) platform=linux-aarch64 ;;
*) echo "openssl.sh: no OpenSSL platform is known for $TARGET" >&2; exit 1 ;;
esac
# Nothing is loaded at run time: no providers or engines as modules, no legacy algorithms, and (with no apps) no programs. What
# Python's ssl and hashlib have no way to is left out, and what Amazon Linux leaves out: binary curves, SM2 and SM4. What has to be
# fast is assembly; the rest is compiled for size.
perl Configure "$platform" --prefix=/usr --libdir=lib --openssldir=/etc/pki/tls no-shared no-module no-legacy no-engine no-tests \
    no-docs no-apps no-ssl3 no-comp no-quic no-dtls no-srp no-ct no-argon2 no-slh-dsa no-ec2m no-sm2 no-sm4 no-uplink no-winstore enable-ec_nistp_64_gcc_128 \
    CC=clang CXX=clang++ AR=llvm-ar RANLIB=llvm-ranlib CFLAGS='-Os -fPIC -fvisibility=hidden'
make -j"$JOBS" build_libs
cp libcrypto.a libssl.a $out/lib/
mkdir -p $out/include/openssl
cp include/openssl/*.h $out/include/openssl/
