#include "compiler/grad/Passes.h"

void r1::registerGradPasses() {}
